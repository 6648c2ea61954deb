#include "agent.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "child.h"
#include "error.h"
#include "gpu.h"
#include "identity.h"
#include "log.h"
#include "serve.h"
#include "signals.h"
#include "text.h"

namespace edgetune {

namespace {

constexpr double kHandshakeSeconds = 5;
constexpr std::size_t kMostClients = 64;  // in their handshake, or waiting
constexpr int kAcceptsATurn = 64;
constexpr int kBacklog = 256;
constexpr double kReadingsKept = 0.5;   // seconds: sensors are on slow buses, and anybody may ask
constexpr double kStrangersEvery = 10;  // seconds between two lines about them
constexpr double kGpuSeconds = 20;

std::string peer_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return format("%s:%d", text, ntohs(v4->sin_port));
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
  inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  return format("[%s]:%d", text, ntohs(v6->sin6_port));
}

int port_of(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in*>(&address)->sin_port
                                            : reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
}

sockaddr_storage local_address(const std::string& numeric, int port, socklen_t* size) {
  sockaddr_storage made{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&made);
  if (inet_pton(AF_INET, numeric.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<std::uint16_t>(port));
    *size = sizeof *v4;
    return made;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&made);
  inet_pton(AF_INET6, numeric.c_str(), &v6->sin6_addr);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(static_cast<std::uint16_t>(port));
  *size = sizeof *v6;
  return made;
}

}  // namespace

Agent::Agent(Options options) : options_(std::move(options)), signals_(catch_signals(true)) {
  // What a session's processes leave behind becomes this one's child, and is ended with the session.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  identity_ = identity(gpu_);
  listen();
  const auto release = [this] { let_go(); };
  if (has_gpu_device())
    gpu_question_ = std::make_unique<ForkedAnswer>(release, [] { return find_gpu().dump(); }, kGpuSeconds);
  if (options_.tracker) {
    Tracker::Settings settings;
    std::tie(settings.host, settings.port) = *options_.tracker;
    settings.key = options_.key;
    const bool everywhere = options_.listen == "0.0.0.0" || options_.listen == "::";
    if (!everywhere && !is_loopback(options_.listen)) settings.address = options_.listen;
    settings.agent_port = options_.port;
    tracker_ = std::make_unique<Tracker>(std::move(settings), [this] { return status(in_brief(identity_)); }, release);
  }
}

Agent::~Agent() {
  if (session_) {
    session_.reset();
    kill_strays();
  }
}

void Agent::listen() {
  socklen_t size = 0;
  sockaddr_storage address = local_address(options_.listen, options_.port, &size);
  listener_ = Descriptor(socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int yes = 1;
  if (listener_) setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (!listener_ || bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_.get(), kBacklog) != 0)
    throw Error(format("cannot listen on %s:%d: %s", options_.listen.c_str(), options_.port, std::strerror(errno)));
  size = sizeof address;
  getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
  options_.port = port_of(address);
  address_ = peer_of(address);
}

void Agent::run() {
  if (!is_loopback(options_.listen))
    log_warning("--insecure: whoever reaches " + address_ + " can run code on this board, without authentication");
  std::printf("listening on %s\n", address_.c_str());
  std::fflush(stdout);
  while (!ending_) {
    Events events;
    watch(events);
    events.wait();
    tick();
  }
  log_line(session_ ? "ending, with the session that is open" : "ending");
}

void Agent::watch(Events& events) {
  events.watch(signals_.get(), POLLIN, [this](short) { ending_ = asked_to_end(signals_) != 0 || ending_; });
  events.watch(listener_.get(), POLLIN, [this](short) { accept_clients(); });
  if (options_.until_eof) events.watch(STDIN_FILENO, POLLIN, [this](short) { read_input(); });
  if (options_.heartbeat) events.until(heard_at_ + *options_.heartbeat);
  if (session_) session_->watch(events);
  if (tracker_) tracker_->watch(events);
  if (gpu_question_) gpu_question_->watch(events);
  for (Client& client : clients_) watch(events, client);
  if (strangers_ > 0) events.until(strangers_said_ + kStrangersEvery);
}

void Agent::watch(Events& events, Client& client) {
  if (client.state == Client::State::kWaiting) {
    // What it sends now is meant for its session.
    events.watch(client.socket.get(), POLLRDHUP, [&client](short) { client.state = Client::State::kClosed; });
    return;
  }
  events.until(client.deadline);
  if (client.state == Client::State::kHandshake)
    events.watch(client.socket.get(), POLLIN, [this, &client](short) { read_handshake(client); });
  else
    events.watch(client.socket.get(), POLLOUT, [this, &client](short) { send_answer(client); });
}

void Agent::accept_clients() {
  for (int k = 0; k < kAcceptsATurn; ++k) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    Descriptor socket(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size,
                              SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return;
    clients_.push_back({std::move(socket), peer_of(address), now() + kHandshakeSeconds, {}, {}, {}});
    // Most have said what they want when they are accepted.
    read_handshake(clients_.back());
    make_room();
  }
}

void Agent::make_room() {
  const auto open = [](const Client& client) { return client.state != Client::State::kClosed; };
  if (static_cast<std::size_t>(std::count_if(clients_.begin(), clients_.end(), open)) <= kMostClients) return;
  const auto oldest = std::find_if(clients_.begin(), clients_.end(), [](const Client& client) {
    return client.state == Client::State::kHandshake || client.state == Client::State::kAnswering;
  });
  // Where all wait, nobody but the one that came last can be sent away.
  drop(oldest != clients_.end() ? *oldest : clients_.back(), "there were too many");
}

void Agent::read_handshake(Client& client) {
  while (client.state == Client::State::kHandshake) {
    char bytes[kMaxKey + 8];
    const ssize_t count = recv(client.socket.get(), bytes, std::min(sizeof bytes, client.handshake.wanted()), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      drop(client, "it went away");
    } else if (!client.handshake.take({bytes, static_cast<std::size_t>(count)})) {
      drop(client, "it spoke another language");
    } else if (client.handshake.complete()) {
      answer(client);
    }
  }
}

void Agent::answer(Client& client) {
  const Request& request = client.handshake.request();
  if (request.kind == Request::Kind::kStatus) {
    begin_answer(client, pack_int(kMagic) + pack_text(status(identity_).dump()));
  } else if (known_key(request.key)) {
    if (tracker_) tracker_->use();
    client.state = Client::State::kWaiting;
    const auto same = std::find_if(clients_.begin(), clients_.end(), [&](Client& one) { return &one == &client; });
    clients_.splice(clients_.end(), clients_, same);
  } else {
    begin_answer(client, pack_int(kMismatch));
  }
}

bool Agent::known_key(const std::string& key) const {
  return tracker_ ? tracker_->matches(key) : key.empty() || key == options_.key;
}

void Agent::begin_answer(Client& client, std::string bytes) {
  client.state = Client::State::kAnswering;
  client.out = std::move(bytes);
  client.deadline = now() + kHandshakeSeconds;
  send_answer(client);
}

void Agent::send_answer(Client& client) {
  while (!client.out.empty()) {
    const ssize_t count = send(client.socket.get(), client.out.data(), client.out.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) break;
    client.out.erase(0, static_cast<std::size_t>(count));
  }
  // What was sent and not read would make the system reset the connection, and the answer might be lost.
  char rest[4096];
  while (recv(client.socket.get(), rest, sizeof rest, MSG_DONTWAIT) == sizeof rest) {
  }
  client.state = Client::State::kClosed;
}

void Agent::drop(Client& client, const char* why) {
  client.state = Client::State::kClosed;
  ++strangers_;
  if (now() < strangers_said_ + kStrangersEvery) return;
  const std::string more = strangers_ > 1 ? format(" (and %lld more)", strangers_ - 1) : "";
  log_line("closed the connection of " + client.peer + " in its handshake: " + why + more);
  strangers_ = 0;
  strangers_said_ = now();
}

void Agent::sweep() {
  for (Client& client : clients_) {
    const bool timed = client.state == Client::State::kHandshake || client.state == Client::State::kAnswering;
    if (timed && now() >= client.deadline) drop(client, "it took too long");
  }
  clients_.remove_if([](const Client& client) { return client.state == Client::State::kClosed; });
  if (strangers_ > 0 && now() >= strangers_said_ + kStrangersEvery) {
    log_line(format("closed %lld more connections in their handshakes", strangers_));
    strangers_ = 0;
    strangers_said_ = now();
  }
}

void Agent::tick() {
  if (options_.heartbeat && now() >= heard_at_ + *options_.heartbeat && !ending_) {
    log_line(format("standard input was silent for %g s", *options_.heartbeat));
    ending_ = true;
  }
  sweep();
  if (gpu_question_ && gpu_question_->answer()) {
    const std::string found = *gpu_question_->answer();
    gpu_question_.reset();
    try {
      gpu_ = json::Value::parse(found);
      identity_ = identity(gpu_);
    } catch (const Error&) {
      log_line("the GPU's driver did not answer");
    }
  }
  if (session_) session_->tick();
  if (session_ && session_->ended()) end_session();
  if (!session_) begin_session();
  const auto waits = [](const Client& client) { return client.state == Client::State::kWaiting; };
  if (tracker_) tracker_->tick(!session_ && std::none_of(clients_.begin(), clients_.end(), waits));
}

void Agent::begin_session() {
  const auto next = std::find_if(clients_.begin(), clients_.end(),
                                 [](const Client& client) { return client.state == Client::State::kWaiting; });
  if (next == clients_.end()) return;
  Client client = std::move(*next);
  clients_.erase(next);
  SessionSettings settings;
  settings.seconds = std::min(options_.session_limit, client.handshake.request().timeout.value_or(kNever));
  settings.memory_limit = options_.memory_limit;
  try {
    ++sessions_;
    settings.folder = scratch_.make(format("session-%lld", sessions_));
    session_ = std::make_unique<Session>(
        std::move(client.socket), client.peer, settings, [this] { let_go(); },
        [this, folder = settings.folder](int socket) { return serve(socket, folder, options_.key, gpu_); });
    log_line(format("session %lld: %s", sessions_, client.peer.c_str()));
  } catch (const Error& error) {
    ++failed_sessions_;
    last_failure_ = "could not begin";
    log_line(format("session %lld of %s could not begin: %s", sessions_, client.peer.c_str(), error.what()));
  }
}

void Agent::end_session() {
  const double seconds = session_->seconds();
  if (session_->failure()) {
    ++failed_sessions_;
    last_failure_ = session_->failure();
    const std::string words = session_->last_words();
    log_line(format("session %lld ended badly after %.1f s: %s%s%s", sessions_, seconds, last_failure_->c_str(),
                    words.empty() ? "" : "; its last words: ", words.c_str()));
  } else {
    log_line(format("session %lld ended after %.1f s", sessions_, seconds));
  }
  session_.reset();
  kill_strays();
}

void Agent::kill_strays() const {
  // Those that left the session's process group. Some may have children in turn, which become this one's then.
  for (bool any = true; any;) {
    any = false;
    for (const pid_t child : children_of(getpid())) {
      if (tracker_ && child == tracker_->helper()) continue;
      if (gpu_question_ && child == gpu_question_->process()) continue;
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
      any = true;
    }
  }
}

void Agent::read_input() {
  char bytes[4096];
  const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
  if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) ending_ = true;
  if (count > 0) heard_at_ = now();
}

void Agent::let_go() {
  listener_.close();
  signals_.close();
  for (Client& client : clients_) client.socket.close();
  if (tracker_) tracker_->let_go();
  if (gpu_question_) gpu_question_->let_go();
}

json::Value Agent::status(const json::Value& identity) {
  if (now() >= readings_at_ + kReadingsKept) {
    readings_ = sensors_.read(false);
    readings_at_ = now();
  }
  auto made = json::Value::object();
  made.set("schema", 1);
  made.set("key", options_.key);
  made.set("state", session_ ? "busy" : "free");
  made.set("client", session_ ? json::Value(session_->peer()) : json::Value());
  made.set("session_seconds", session_ ? json::Value(session_->seconds()) : json::Value());
  made.set("uptime_s", now() - begun_);
  made.set("sessions", sessions_);
  made.set("failed_sessions", failed_sessions_);
  made.set("last_failure", last_failure_);
  made.set("identity", identity);
  made.set("sensors", readings_);
  return made;
}

}  // namespace edgetune
