#include "forked_answer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <exception>

#include "child.h"
#include "clocks.h"

namespace edgetune {

namespace {
constexpr std::size_t kLongest = 1 << 16;
}

ForkedAnswer::ForkedAnswer(const std::function<void()>& in_child, const std::function<std::string()>& question,
                           double seconds)
    : deadline_(now() + seconds) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    answer_ = "";
    return;
  }
  pipe_ = Descriptor(ends[0]);
  Descriptor writer(ends[1]);
  fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
  const pid_t parent = getpid();
  process_ = fork();
  if (process_ != 0) return;
  become_child(parent, SIGKILL);
  in_child();
  pipe_.close();
  std::string text;
  try {
    text = question();
  } catch (const std::exception&) {
    _exit(1);
  }
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t count = write(writer.get(), &text[sent], text.size() - sent);
    if (count <= 0) _exit(1);
    sent += static_cast<std::size_t>(count);
  }
  _exit(0);
}

ForkedAnswer::~ForkedAnswer() {
  if (process_ <= 0) return;
  kill(process_, SIGKILL);
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void ForkedAnswer::watch(Events& events) {
  if (!pipe_) return;
  events.until(deadline_);
  events.watch(pipe_.get(), POLLIN, [this](short) { read_more(); });
}

void ForkedAnswer::read_more() {
  char part[4096];
  const ssize_t count = read(pipe_.get(), part, sizeof part);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count > 0 && bytes_.size() + static_cast<std::size_t>(count) <= kLongest) {
    bytes_.append(part, static_cast<std::size_t>(count));
    return;
  }
  answer_ = count == 0 ? bytes_ : "";
  pipe_.close();
}

const std::optional<std::string>& ForkedAnswer::answer() {
  if (!answer_ && now() >= deadline_) {
    answer_ = "";
    pipe_.close();
  }
  return answer_;
}

}  // namespace edgetune
