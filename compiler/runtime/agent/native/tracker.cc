#include "tracker.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "clocks.h"
#include "error.h"
#include "log.h"
#include "text.h"
#include "wire.h"

namespace edgetune {

namespace {

// TrackerCode of python/tvm/rpc/base.py.
constexpr int kPut = 3, kUpdateInfo = 5, kGetPending = 7;

constexpr double kAnswerSeconds = 10;
constexpr double kLookupSeconds = 30;
constexpr double kAskEvery = 2;
constexpr double kUnusedSeconds = 6;  // after which a match key that was taken, and not used, is replaced
constexpr double kLongestPause = 10;

// The addresses of a host, as their bytes; empty where it has none.
std::string addresses_of(const std::string& host, int port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return "";
  std::string bytes;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    sockaddr_storage address{};
    std::memcpy(&address, one->ai_addr, one->ai_addrlen);
    const socklen_t size = one->ai_addrlen;
    bytes.append(reinterpret_cast<const char*>(&address), sizeof address);
    bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
  }
  freeaddrinfo(found);
  return bytes;
}

}  // namespace

Tracker::Tracker(Settings settings, std::function<json::Value()> status, std::function<void()> in_child)
    : settings_(std::move(settings)), status_(std::move(status)), in_child_(std::move(in_child)) {
  std::random_device device;
  random_.seed(static_cast<std::uint64_t>(device()) << 32 | device());
}

void Tracker::watch(Events& events) {
  events.until(wake_);
  if (lookup_) lookup_->watch(events);
  if (!socket_) return;
  const bool writes = state_ == State::kConnecting || !out_.empty();
  events.watch(socket_.get(), static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN),
               [this](short what) { happened(what); });
}

void Tracker::tick(bool free) {
  if (state_ == State::kLookup && lookup_->answer()) {
    const std::string addresses = *lookup_->answer();
    lookup_.reset();
    resolved(addresses);
  }
  if (state_ == State::kRegistered && asked_.empty()) {
    if (free && match_key_.empty()) {
      offer();
    } else if (!match_key_.empty() && now() >= asked_at_ + kAskEvery) {
      ask(Asked::kPending, json::Value::array({kGetPending}));
    } else {
      wake_ = match_key_.empty() ? kNever : asked_at_ + kAskEvery;
    }
    return;
  }
  if (now() < wake_) return;
  if (state_ != State::kIdle) {
    failed("it does not answer");
    return;
  }
  const std::string numeric = addresses_of(settings_.host, settings_.port, AI_NUMERICHOST);
  if (!numeric.empty()) {
    resolved(numeric);
    return;
  }
  // A name server may take its time, which nobody else should wait for.
  state_ = State::kLookup;
  wake_ = now() + kLookupSeconds;
  lookup_ = std::make_unique<ForkedAnswer>(
      in_child_, [this] { return addresses_of(settings_.host, settings_.port, 0); }, kLookupSeconds);
}

void Tracker::resolved(const std::string& addresses) {
  addresses_.clear();
  std::pair<sockaddr_storage, socklen_t> one{};
  const std::size_t size = sizeof one.first + sizeof one.second;
  for (std::size_t place = 0; place + size <= addresses.size(); place += size) {
    std::memcpy(&one.first, &addresses[place], sizeof one.first);
    std::memcpy(&one.second, &addresses[place + sizeof one.first], sizeof one.second);
    addresses_.push_back(one);
  }
  if (addresses_.empty())
    failed("its name is not known");
  else
    connect_next();
}

void Tracker::connect_next() {
  const auto [address, size] = addresses_.front();
  addresses_.erase(addresses_.begin());
  socket_ = Descriptor(socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  state_ = State::kConnecting;
  wake_ = now() + kAnswerSeconds;
  if (!socket_) {
    failed(std::strerror(errno));
  } else if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) {
    connected();
  } else if (errno != EINPROGRESS) {
    failed(std::strerror(errno));
  }
}

void Tracker::connected() {
  for (const auto& [name, value] : {std::pair(TCP_NODELAY, 1), std::pair(TCP_USER_TIMEOUT, 10000)})
    setsockopt(socket_.get(), IPPROTO_TCP, name, &value, sizeof value);
  state_ = State::kGreeting;
  wake_ = now() + kAnswerSeconds;
  out_ = pack_int(kTrackerMagic);
  write_more();
}

void Tracker::failed(const std::string& why) {
  socket_.close();
  lookup_.reset();
  out_.clear();
  in_.clear();
  asked_.clear();
  if (state_ == State::kConnecting && !addresses_.empty()) {
    connect_next();
    return;
  }
  const std::string where = settings_.host + ":" + std::to_string(settings_.port);
  if (state_ == State::kRegistered) {
    log_line("the tracker at " + where + " is gone (" + why + "); trying again");
  } else if (!told_) {
    log_line("no tracker at " + where + " (" + why + "); trying again");
  }
  told_ = true;
  state_ = State::kIdle;
  wake_ = now() + pause_;
  pause_ = std::min(2 * pause_, kLongestPause);
}

void Tracker::happened(short events) {
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0)
      failed(std::strerror(error));
    else
      connected();
    return;
  }
  if (events & POLLOUT) write_more();
  if (socket_ && events & ~POLLOUT) read_more();
}

void Tracker::write_more() {
  while (!out_.empty()) {
    const ssize_t count = send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) {
      failed(std::strerror(errno));
      return;
    }
    out_.erase(0, static_cast<std::size_t>(count));
  }
}

void Tracker::read_more() {
  char part[16384];
  const ssize_t count = recv(socket_.get(), part, sizeof part, 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    failed(count == 0 ? "it closed the connection" : std::strerror(errno));
    return;
  }
  in_.append(part, static_cast<std::size_t>(count));
  if (state_ == State::kGreeting) {
    if (in_.size() < 4) return;
    if (unpack_int(in_) != kTrackerMagic) {
      failed("it is no tracker");
      return;
    }
    in_.erase(0, 4);
    log_line(format("registered at the tracker %s:%d as %s", settings_.host.c_str(), settings_.port,
                    settings_.key.c_str()));
    state_ = State::kRegistered;
    told_ = false;
    match_key_.clear();
    auto info = json::Value::object();
    info.set("key", "server:" + settings_.key);
    info.set("addr", json::Value::array({own_address(), settings_.agent_port}));
    info.set("edgetune", status_());
    ask(Asked::kInfo, json::Value::array({kUpdateInfo, info}));
  }
  while (socket_ && in_.size() >= 4) {
    const std::int32_t size = unpack_int(in_);
    if (size < 0 || size > kMaxJson) {
      failed("it sends nonsense");
      return;
    }
    const auto end = 4 + static_cast<std::size_t>(size);
    if (in_.size() < end) return;
    const std::string message = in_.substr(4, end - 4);
    in_.erase(0, end);
    answered(message);
  }
}

void Tracker::answered(std::string_view message) {
  if (asked_.empty()) {
    failed("it answers what nobody asked");
    return;
  }
  const Asked what = asked_.front();
  asked_.pop_front();
  try {
    const json::Value answer = json::Value::parse(message);
    if (what != Asked::kPending) {
      if (answer.as_number() != 0) throw Error("refused");
      pause_ = 1;  // it has taken what it was told: it works
      return;
    }
    bool pending = false;
    for (const json::Value& key : answer.items()) pending = pending || key.as_string() == match_key_;
    if (pending) {
      taken_at_.reset();
    } else if (!taken_at_) {
      taken_at_ = now();
    } else if (now() - *taken_at_ >= kUnusedSeconds && !match_key_.empty()) {
      log_line("whoever the tracker sent here did not come; offering the device again");
      offer();
    }
  } catch (const Error&) {
    failed("its answer is not as expected");
  }
}

void Tracker::ask(Asked what, const json::Value& message) {
  asked_.push_back(what);
  asked_at_ = now();
  wake_ = asked_at_ + kAnswerSeconds;
  out_ += pack_text(message.dump());
  write_more();
}

void Tracker::offer() {
  match_key_ = settings_.key + ":0." + format("%018llu", static_cast<unsigned long long>(random_() % 1000000000000000000));
  taken_at_.reset();
  const auto port_and_key = json::Value::array({settings_.agent_port, match_key_});
  ask(Asked::kPut, json::Value::array({kPut, settings_.key, port_and_key, own_address()}));
}

json::Value Tracker::own_address() const {
  return settings_.address.empty() ? json::Value() : json::Value(settings_.address);
}

void Tracker::let_go() {
  socket_.close();
  if (lookup_) lookup_->let_go();
}

}  // namespace edgetune
