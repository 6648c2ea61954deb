#include "worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <new>

#include "child.h"
#include "clocks.h"
#include "error.h"
#include "json.h"
#include "measure.h"
#include "runtime.h"
#include "session.h"
#include "text.h"
#include "tvm.h"

namespace edgetune {

namespace {

constexpr std::size_t kLongestMessage = 1 << 24;
constexpr std::size_t kLongestError = 2000;

bool send_message(int socket, const std::string& text) {
  return send(socket, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

// A message of a socket that keeps them apart; empty where the other side has ended.
std::string receive_message(int socket) {
  ssize_t size;
  do size = recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
  while (size < 0 && errno == EINTR);
  if (size <= 0 || static_cast<std::size_t>(size) > kLongestMessage) return "";
  std::string text(static_cast<std::size_t>(size), '\0');
  if (recv(socket, text.data(), text.size(), 0) != size) return "";
  return text;
}

std::string printable(std::string_view text) {
  std::string line;
  for (const char c : strip(text).substr(0, kLongestError)) line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  line.resize(utf8_prefix(line));
  return line.empty() ? "failed" : line;
}

json::Value measured(Measurer& measurer, const std::string& message) {
  const auto failed = [](std::string_view why) { return json::Value::object({{"error", printable(why)}}); };
  try {
    const json::Value request = json::Value::parse(message);
    auto seconds = json::Value::array();
    const Job job = Job::parse(request["job"].as_string());
    for (const double one : measurer.measure(job, request["library"].as_string())) seconds.add(one);
    return json::Value::object({{"seconds", std::move(seconds)}});
  } catch (const tvm::ffi::Error& error) {
    return failed(one_line(error));
  } catch (const std::bad_alloc&) {
    return failed("there is not enough memory");
  } catch (const std::exception& error) {
    return failed(error.what());
  }
}

}  // namespace

Worker::Outcome Worker::measure(const std::string& job, const std::string& library, double seconds,
                                const Descriptor& signals) {
  if (process_ < 0) start();
  Outcome outcome;
  const auto died = [&] {
    const int status = end();
    outcome.error = WIFSIGNALED(status) ? "crashed: " + signal_name(WTERMSIG(status))
                                        : format("ended with status %d", WEXITSTATUS(status));
    return outcome;
  };
  if (!send_message(socket_.get(), json::Value::object({{"job", job}, {"library", library}}).dump())) return died();
  const double deadline = now() + seconds;
  while (true) {
    pollfd polls[] = {{socket_.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
    const int count = poll(polls, 2, static_cast<int>(std::ceil(std::max(0.0, deadline - now()) * 1e3)));
    if (count > 0 && polls[0].revents) break;
    if (count > 0 && polls[1].revents) {
      outcome.interrupted = true;
      end();
      return outcome;
    }
    if (now() >= deadline) {
      end();
      outcome.error = format("timed out after %g s", seconds);
      return outcome;
    }
  }
  const std::string answer = receive_message(socket_.get());
  if (answer.empty()) return died();
  try {
    const json::Value value = json::Value::parse(answer);
    if (!value["error"].is_null()) {
      outcome.error = value["error"].as_string();
      return outcome;
    }
    for (const json::Value& one : value["seconds"].items()) outcome.seconds.push_back(one.as_number());
  } catch (const Error&) {
    outcome.seconds.clear();  // a candidate wrote into the memory of its process
  }
  bool right = !outcome.seconds.empty();
  for (const double one : outcome.seconds) right = right && one > 0;
  if (!right) {
    outcome.seconds.clear();
    outcome.error = "no time was measured";
  }
  return outcome;
}

void Worker::start() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error(std::string("no socket: ") + std::strerror(errno));
  socket_ = Descriptor(ends[0]);
  Descriptor other(ends[1]);
  const pid_t parent = getpid();
  process_ = fork();
  if (process_ < 0) throw Error(std::string("no process: ") + std::strerror(errno));
  if (process_ > 0) return;
  setsid();
  become_child(parent, SIGKILL);
  socket_.close();
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nothing, standard);
  if (chdir(folder_.c_str()) != 0) _exit(1);
  serve(other.get());
}

void Worker::serve(int socket) {
  load_runtime_cuda();
  Measurer measurer;
  while (true) {
    const std::string message = receive_message(socket);
    if (message.empty() || !send_message(socket, measured(measurer, message).dump())) _exit(0);
  }
}

int Worker::end() {
  int status = 0;
  if (process_ < 0) return status;
  // A process that has just crashed is to say so itself: it is asked whether it has before it is killed.
  pollfd hung_up{socket_.get(), POLLIN, 0};
  const bool gone = poll(&hung_up, 1, 0) == 1 && (hung_up.revents & POLLHUP);
  const double patience = now() + (gone ? 1.0 : 0.0);
  while (waitpid(process_, &status, WNOHANG) == 0) {
    if (now() >= patience) kill(process_, SIGKILL);
    usleep(1000);
  }
  kill(-process_, SIGKILL);
  for (const pid_t orphan : processes_in(folder_)) kill(orphan, SIGKILL);
  process_ = -1;
  socket_.close();
  return status;
}

}  // namespace edgetune
