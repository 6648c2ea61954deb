#include "text.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "descriptor.h"

namespace edgetune {

std::optional<std::string> read_file(const std::string& path, std::size_t limit) {
  // Never waiting: a FIFO in the place of a file would hold up everything.
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return std::nullopt;
  std::string text(limit, '\0');
  std::size_t size = 0;
  while (size < limit) {
    const ssize_t count = read(file.get(), &text[size], limit - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  text.resize(size);
  return text;
}

std::optional<std::string> read_line(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return std::nullopt;
  const std::string_view line = strip(*text);
  if (line.empty()) return std::nullopt;
  return std::string(line);
}

std::optional<double> read_number(const std::string& path) {
  const auto line = read_line(path);
  return line ? parse_number(*line) : std::nullopt;
}

std::vector<std::string> names_in(const std::string& folder, std::string_view prefix) {
  std::vector<std::string> names;
  DIR* opened = opendir(folder.c_str());
  if (opened == nullptr) return names;
  while (const dirent* entry = readdir(opened)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && starts_with(name, prefix)) names.emplace_back(name);
  }
  closedir(opened);
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return strverscmp(a.c_str(), b.c_str()) < 0;
  });
  return names;
}

std::string_view strip(std::string_view text) {
  const auto blank = [](char c) { return c == '\0' || c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> words_of(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return words;
    text.remove_prefix(first);
    const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

std::optional<double> parse_number(std::string_view text) {
  if (text.empty() || text.size() > 64 || text.find_first_not_of("0123456789+-.eE") != std::string_view::npos)
    return std::nullopt;
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<long long> parse_integer(std::string_view text, long long low, long long high) {
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  const long long value = std::strtoll(std::string(text).c_str(), nullptr, 10);
  if (value < low || value > high) return std::nullopt;
  return value;
}

std::string format(const char* pattern, ...) {
  va_list arguments, again;
  va_start(arguments, pattern);
  va_copy(again, arguments);
  const int size = std::vsnprintf(nullptr, 0, pattern, arguments);
  va_end(arguments);
  std::string text(static_cast<std::size_t>(std::max(size, 0)), '\0');
  std::vsnprintf(text.data(), text.size() + 1, pattern, again);
  va_end(again);
  return text;
}

std::size_t utf8_prefix(std::string_view text) {
  std::size_t place = 0;
  while (place < text.size()) {
    const auto byte = [&](std::size_t k) { return static_cast<std::uint8_t>(text[place + k]); };
    const std::uint8_t first = byte(0);
    std::size_t size = 0;
    std::uint32_t smallest = 0, point = 0;
    if (first < 0x80) {
      ++place;
      continue;
    }
    if ((first & 0xe0) == 0xc0) {
      size = 2, smallest = 0x80, point = first & 0x1f;
    } else if ((first & 0xf0) == 0xe0) {
      size = 3, smallest = 0x800, point = first & 0x0f;
    } else if ((first & 0xf8) == 0xf0) {
      size = 4, smallest = 0x10000, point = first & 0x07;
    } else {
      return place;
    }
    if (text.size() - place < size) return place;
    for (std::size_t k = 1; k < size; ++k) {
      if ((byte(k) & 0xc0) != 0x80) return place;
      point = point << 6 | (byte(k) & 0x3f);
    }
    // Overlong forms, halves of surrogate pairs, and what lies beyond Unicode.
    if (point < smallest || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return place;
    place += size;
  }
  return place;
}

}  // namespace edgetune
