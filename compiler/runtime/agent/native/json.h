// JSON: a writer, and a strict reader of bounded depth. What the agent says and is told is small, and the headers that it
// is built with bring none that works before TVM is loaded.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace edgetune::json {

constexpr int kMaxDepth = 32;

class Value {
 public:
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };
  using Member = std::pair<std::string, Value>;

  Value() = default;  // null
  Value(bool value) : kind_(Kind::kBool), bool_(value) {}
  Value(int value) : Value(static_cast<double>(value)) {}
  Value(long value) : Value(static_cast<double>(value)) {}
  Value(long long value) : Value(static_cast<double>(value)) {}
  Value(double value);  // null where it is not finite
  Value(std::string value) : kind_(Kind::kString), string_(std::move(value)) {}
  Value(std::string_view value) : Value(std::string(value)) {}
  Value(const char* value) : Value(std::string(value)) {}
  template <typename T>
  Value(const std::optional<T>& value) : Value(value ? Value(*value) : Value()) {}

  static Value array(std::vector<Value> items = {});
  static Value object(std::vector<Member> members = {});

  // Parse `text`, all of it. Throws Error with the place where it is not JSON, nested too deeply, or not UTF-8.
  static Value parse(std::string_view text);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }

  // The value as the kind of its name. They throw Error where it is of another kind.
  bool as_bool() const;
  double as_number() const;
  long long as_integer(long long low, long long high) const;
  const std::string& as_string() const;
  const std::vector<Value>& items() const;
  const std::vector<Member>& members() const;

  // A member of an object, null where there is none of that name.
  const Value& operator[](std::string_view name) const;

  void add(Value item) { items_.push_back(std::move(item)); }
  void set(std::string name, Value value) { members_.emplace_back(std::move(name), std::move(value)); }

  // On one line, UTF-8; what is not UTF-8 in a string becomes U+FFFD.
  std::string dump() const;

 private:
  void write(std::string& out) const;

  Kind kind_ = Kind::kNull;
  bool bool_ = false;
  double number_ = 0;
  std::string string_;
  std::vector<Value> items_;
  std::vector<Member> members_;
};

}  // namespace edgetune::json
