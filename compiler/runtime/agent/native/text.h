// Small texts: those that Linux offers as files, and what is done with them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace edgetune {

// The first `limit` bytes of a file; nothing where it cannot be read, as happens with a sensor that sleeps.
std::optional<std::string> read_file(const std::string& path, std::size_t limit = 4096);

// The same without the white space and the zero byte around it; nothing where that leaves nothing.
std::optional<std::string> read_line(const std::string& path);

// The number that a file holds and nothing else.
std::optional<double> read_number(const std::string& path);

// Names in a folder that begin with `prefix`, sorted ("zone2" before "zone10"); none where there is no such folder.
std::vector<std::string> names_in(const std::string& folder, std::string_view prefix = "");

std::string_view strip(std::string_view text);
std::vector<std::string_view> words_of(std::string_view text);
bool starts_with(std::string_view text, std::string_view prefix);

// A finite number written in full, such as "1.5"; nothing for anything else.
std::optional<double> parse_number(std::string_view text);

// A whole number of decimal digits between `low` and `high`.
std::optional<long long> parse_integer(std::string_view text, long long low, long long high);

// As printf.
std::string format(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

// How many of the first bytes of `text` are UTF-8: all of them, or up to the first that is not.
std::size_t utf8_prefix(std::string_view text);

}  // namespace edgetune
