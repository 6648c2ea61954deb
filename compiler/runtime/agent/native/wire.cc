#include "wire.h"

#include "text.h"

namespace edgetune {

namespace {

constexpr std::string_view kSession = "client:";
constexpr std::string_view kStatus = "status:";
constexpr std::string_view kTimeout = "-timeout=";

std::optional<Request> parse(std::string_view key) {
  if (utf8_prefix(key) != key.size()) return std::nullopt;
  const auto words = words_of(key);
  if (words.empty()) return std::nullopt;
  Request request;
  if (words[0] == kStatus) {
    request.kind = Request::Kind::kStatus;
  } else if (starts_with(words[0], kSession)) {
    request.key = words[0].substr(kSession.size());
  } else {
    return std::nullopt;
  }
  for (const std::string_view word : words) {
    if (!starts_with(word, kTimeout)) continue;
    const auto seconds = parse_number(word.substr(kTimeout.size()));
    if (seconds && *seconds > 0) request.timeout = seconds;
  }
  return request;
}

}  // namespace

std::string pack_int(std::int32_t value) {
  const auto bits = static_cast<std::uint32_t>(value);
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift & 0xff);
  return bytes;
}

std::int32_t unpack_int(std::string_view bytes) {
  std::uint32_t bits = 0;
  for (int k = 3; k >= 0; --k) bits = bits << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(k)]);
  return static_cast<std::int32_t>(bits);
}

std::string pack_text(std::string_view text) {
  return pack_int(static_cast<std::int32_t>(text.size())) += text;
}

std::size_t Handshake::wanted() const {
  if (complete()) return 0;
  if (bytes_.size() < 8) return 8 - bytes_.size();
  return 8 + static_cast<std::size_t>(unpack_int(std::string_view(bytes_).substr(4))) - bytes_.size();
}

bool Handshake::take(std::string_view bytes) {
  bytes_ += bytes;
  // A stranger is sent away at its first wrong byte.
  const std::string_view seen = bytes_, magic = seen.substr(0, 4);
  if (pack_int(kMagic).compare(0, magic.size(), magic) != 0) return false;
  if (seen.size() < 8) return true;
  const std::int32_t size = unpack_int(seen.substr(4));
  if (size <= 0 || size > kMaxKey) return false;
  if (seen.size() < 8 + static_cast<std::size_t>(size)) return true;
  request_ = parse(seen.substr(8));
  return request_.has_value();
}

}  // namespace edgetune
