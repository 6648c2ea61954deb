// What client and agent say before TVM's RPC takes over (docs/agent-protocol.md; compiler/runtime/rpc/wire.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace edgetune {

constexpr std::int32_t kMagic = 0xff271;
constexpr std::int32_t kMismatch = kMagic + 2;
constexpr std::int32_t kTrackerMagic = 0x2f271;
constexpr std::int32_t kMaxKey = 1024;
constexpr std::int32_t kMaxJson = 1 << 20;

// 32 bits, little endian, whatever this machine's order is.
std::string pack_int(std::int32_t value);
std::int32_t unpack_int(std::string_view bytes);

// A length and the bytes of `text`.
std::string pack_text(std::string_view text);

// What a client asks for.
struct Request {
  enum class Kind { kSession, kStatus };
  Kind kind = Kind::kSession;
  std::string key;                 // of a session: the agent's own, a match key, or empty
  std::optional<double> timeout;  // seconds
};

// Takes a client's first bytes as they come, and never one more than belongs to them: the next are TVM's.
class Handshake {
 public:
  // How many bytes it can take now; 0 when it is complete.
  std::size_t wanted() const;

  // Take bytes, at most `wanted` of them. Returns false where they are not of the protocol.
  bool take(std::string_view bytes);

  bool complete() const { return request_.has_value(); }
  const Request& request() const { return *request_; }

 private:
  std::string bytes_;
  std::optional<Request> request_;
};

}  // namespace edgetune
