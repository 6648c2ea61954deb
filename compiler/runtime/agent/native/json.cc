#include "json.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "error.h"
#include "text.h"

namespace edgetune::json {

namespace {

void write_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t valid = utf8_prefix(text);
    for (const char c : text.substr(0, valid)) {
      if (c == '"' || c == '\\') {
        out += '\\';
        out += c;
      } else if (c == '\n') {
        out += "\\n";
      } else if (c == '\t') {
        out += "\\t";
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out += format("\\u%04x", static_cast<unsigned>(c));
      } else {
        out += c;
      }
    }
    text.remove_prefix(valid);
    if (text.empty()) break;
    out += "\xef\xbf\xbd";
    text.remove_prefix(1);
  }
  out += '"';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Value whole() {
    if (utf8_prefix(text_) != text_.size()) fail("not UTF-8");
    Value value = any(0);
    blanks();
    if (place_ != text_.size()) fail("more than one value");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* what) const { throw Error(format("JSON: %s at byte %zu", what, place_)); }

  void blanks() {
    while (place_ < text_.size() && std::string_view(" \t\r\n").find(text_[place_]) != std::string_view::npos) ++place_;
  }

  bool take(char c) {
    if (place_ >= text_.size() || text_[place_] != c) return false;
    ++place_;
    return true;
  }

  bool take(std::string_view word) {
    if (text_.substr(place_, word.size()) != word) return false;
    place_ += word.size();
    return true;
  }

  Value any(int depth) {
    if (depth > kMaxDepth) fail("nested too deeply");
    blanks();
    if (take('{')) return object(depth);
    if (take('[')) return array(depth);
    if (take('"')) return string();
    if (take("true")) return true;
    if (take("false")) return false;
    if (take("null")) return Value();
    return number();
  }

  Value object(int depth) {
    std::vector<Value::Member> members;
    blanks();
    if (take('}')) return Value::object();
    do {
      blanks();
      if (!take('"')) fail("a name is missing");
      std::string name = string();
      blanks();
      if (!take(':')) fail("a colon is missing");
      members.emplace_back(std::move(name), any(depth + 1));
      blanks();
    } while (take(','));
    if (!take('}')) fail("an object does not end");
    return Value::object(std::move(members));
  }

  Value array(int depth) {
    std::vector<Value> items;
    blanks();
    if (take(']')) return Value::array();
    do {
      items.push_back(any(depth + 1));
      blanks();
    } while (take(','));
    if (!take(']')) fail("an array does not end");
    return Value::array(std::move(items));
  }

  std::string string() {
    std::string made;
    while (true) {
      if (place_ >= text_.size()) fail("a string does not end");
      const char c = text_[place_++];
      if (c == '"') return made;
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      if (c != '\\') {
        made += c;
        continue;
      }
      if (place_ >= text_.size()) fail("a string does not end");
      const char escape = text_[place_++];
      const std::size_t known = std::string_view("\"\\/bfnrt").find(escape);
      if (known != std::string_view::npos) {
        made += "\"\\/\b\f\n\r\t"[known];
      } else if (escape == 'u') {
        append_utf8(made, code_point());
      } else {
        fail("an escape that is none");
      }
    }
  }

  std::uint32_t hex4() {
    std::uint32_t value = 0;
    for (int k = 0; k < 4; ++k) {
      const char c = place_ < text_.size() ? text_[place_] : '\0';
      const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(c);
      if (c == '\0' || digit == std::string_view::npos) fail("four hexadecimal digits are missing");
      value = value << 4 | static_cast<std::uint32_t>(digit < 16 ? digit : digit - 6);
      ++place_;
    }
    return value;
  }

  std::uint32_t code_point() {
    const std::uint32_t first = hex4();
    if (first < 0xd800 || first > 0xdfff) return first;
    if (first > 0xdbff || !take("\\u")) fail("half of a surrogate pair");
    const std::uint32_t second = hex4();
    if (second < 0xdc00 || second > 0xdfff) fail("half of a surrogate pair");
    return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
  }

  static void append_utf8(std::string& out, std::uint32_t point) {
    const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (point >> shift & 0x3f)); };
    if (point < 0x80) {
      out += static_cast<char>(point);
    } else if (point < 0x800) {
      out += static_cast<char>(0xc0 | point >> 6), tail(0);
    } else if (point < 0x10000) {
      out += static_cast<char>(0xe0 | point >> 12), tail(6), tail(0);
    } else {
      out += static_cast<char>(0xf0 | point >> 18), tail(12), tail(6), tail(0);
    }
  }

  bool digits() {
    const std::size_t first = place_;
    while (place_ < text_.size() && text_[place_] >= '0' && text_[place_] <= '9') ++place_;
    return place_ > first;
  }

  Value number() {
    const std::size_t first = place_;
    take('-');
    const bool zero = take('0');
    if (!zero && !digits()) fail("not a value");
    if (take('.') && !digits()) fail("digits are missing");
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (!digits()) fail("digits are missing");
    }
    const double value = std::strtod(std::string(text_.substr(first, place_ - first)).c_str(), nullptr);
    if (!std::isfinite(value)) fail("a number too large");
    return value;
  }

  std::string_view text_;
  std::size_t place_ = 0;
};

[[noreturn]] void not_a(const char* kind) { throw Error(format("JSON: %s is expected", kind)); }

}  // namespace

Value::Value(double value) {
  if (!std::isfinite(value)) return;
  kind_ = Kind::kNumber;
  number_ = value;
}

Value Value::array(std::vector<Value> items) {
  Value made;
  made.kind_ = Kind::kArray;
  made.items_ = std::move(items);
  return made;
}

Value Value::object(std::vector<Member> members) {
  Value made;
  made.kind_ = Kind::kObject;
  made.members_ = std::move(members);
  return made;
}

Value Value::parse(std::string_view text) { return Parser(text).whole(); }

bool Value::as_bool() const {
  if (kind_ != Kind::kBool) not_a("true or false");
  return bool_;
}

double Value::as_number() const {
  if (kind_ != Kind::kNumber) not_a("a number");
  return number_;
}

long long Value::as_integer(long long low, long long high) const {
  const double value = as_number();
  if (value != std::floor(value) || value < static_cast<double>(low) || value > static_cast<double>(high))
    throw Error(format("JSON: a whole number from %lld to %lld is expected", low, high));
  return static_cast<long long>(value);
}

const std::string& Value::as_string() const {
  if (kind_ != Kind::kString) not_a("a string");
  return string_;
}

const std::vector<Value>& Value::items() const {
  if (kind_ != Kind::kArray) not_a("an array");
  return items_;
}

const std::vector<Value::Member>& Value::members() const {
  if (kind_ != Kind::kObject) not_a("an object");
  return members_;
}

const Value& Value::operator[](std::string_view name) const {
  static const Value null;
  for (const Member& member : members())
    if (member.first == name) return member.second;
  return null;
}

std::string Value::dump() const {
  std::string out;
  write(out);
  return out;
}

void Value::write(std::string& out) const {
  const char* separator = "";
  switch (kind_) {
    case Kind::kNull:
      out += "null";
      break;
    case Kind::kBool:
      out += bool_ ? "true" : "false";
      break;
    case Kind::kNumber:
      // Whole numbers without a point, up to those that a double holds exactly.
      out += number_ == std::floor(number_) && std::fabs(number_) < 9e15 ? format("%.0f", number_)
                                                                          : format("%.17g", number_);
      break;
    case Kind::kString:
      write_string(out, string_);
      break;
    case Kind::kArray:
      out += '[';
      for (const Value& item : items_) {
        out += separator;
        item.write(out);
        separator = ",";
      }
      out += ']';
      break;
    case Kind::kObject:
      out += '{';
      for (const Member& member : members_) {
        out += separator;
        write_string(out, member.first);
        out += ":";
        member.second.write(out);
        separator = ",";
      }
      out += '}';
      break;
  }
}

}  // namespace edgetune::json
