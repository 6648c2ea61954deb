#include "sampler.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

#include "clocks.h"
#include "descriptor.h"
#include "energy.h"
#include "error.h"

namespace edgetune {

namespace {

constexpr double kShare = 0.02;     // of a CPU, that reading may use
constexpr double kLastStep = 1.0;   // seconds in which a counter should move once more: NVML's do every 0.1 s

// Threads by name: programs that are linked to these two functions do not start with a C library before glibc 2.34.
void start_thread(void* (*run)(void*), void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  const auto create = reinterpret_cast<Create>(dlsym(RTLD_DEFAULT, "pthread_create"));
  const auto detach = reinterpret_cast<int (*)(pthread_t)>(dlsym(RTLD_DEFAULT, "pthread_detach"));
  pthread_t thread;
  if (!create || !detach || create(&thread, nullptr, run, argument) != 0) throw Error("no thread to sample power in");
  detach(thread);
}

}  // namespace

// What the thread shares with its sampler, and may outlive it for a moment.
struct Sampler::State {
  std::mutex mutex;
  std::vector<Channel> channels;
  std::vector<Trace> traces;
  std::vector<double> moved;  // when a channel was seen to be another one than before
  double period = 0;
  bool ended = false;
  Descriptor wake;  // closed at its other end when it is over
  Descriptor waker;

  void sample() {
    const std::lock_guard<std::mutex> lock(mutex);
    if (ended) return;
    for (std::size_t at = 0; at < channels.size(); ++at) {
      Trace& trace = traces[at];
      const double before = now();
      const auto value = channels[at].read();
      const double time = (before + now()) / 2;
      if (!value || (!trace.times.empty() && time <= trace.times.back())) continue;
      if (!trace.values.empty() && *value != trace.values.back()) moved[at] = time;
      trace.times.push_back(time);
      trace.values.push_back(*value);
    }
  }

  bool settled(double edge) {
    const std::lock_guard<std::mutex> lock(mutex);
    for (std::size_t at = 0; at < channels.size(); ++at) {
      const double last = traces[at].times.empty() ? 0 : traces[at].times.back();
      if ((channels[at].counts ? moved[at] : last) < edge) return false;
    }
    return true;
  }

  void run() {
    double due = now();
    while (true) {
      due = std::max(due + period, now());
      const int left = static_cast<int>(1e3 * std::max(0.0, due - now()) + 0.5);
      pollfd end{wake.get(), POLLIN, 0};
      if (poll(&end, 1, left) > 0) return;
      sample();
    }
  }
};

Sampler::Sampler(std::vector<Channel> channels, double period) : state_(std::make_shared<State>()) {
  state_->traces.resize(channels.size());
  state_->moved.resize(channels.size());
  state_->channels = std::move(channels);
  const double began = now(), used = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  state_->sample();
  state_->period =
      std::max({period, 2 * (now() - began), (seconds_of(CLOCK_THREAD_CPUTIME_ID) - used) / kShare});
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error("no pipe to end sampling with");
  state_->wake = Descriptor(ends[0]);
  state_->waker = Descriptor(ends[1]);
  auto held = std::make_unique<std::shared_ptr<State>>(state_);
  start_thread(
      [](void* argument) -> void* {
        const std::unique_ptr<std::shared_ptr<State>> state(static_cast<std::shared_ptr<State>*>(argument));
        (*state)->run();
        return nullptr;
      },
      held.get());
  (void)held.release();
}

Sampler::~Sampler() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->ended = true;
  state_->waker.close();
}

double Sampler::period() const { return state_->period; }

double Sampler::begin() {
  state_->sample();
  return last_edge_ = now();
}

double Sampler::end() {
  last_edge_ = now();
  state_->sample();
  return last_edge_;
}

void Sampler::stop() {
  const double deadline = now() + kLastStep;
  while (now() < deadline && !state_->settled(last_edge_)) usleep(static_cast<useconds_t>(1e6 * state_->period / 4));
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->ended = true;
  state_->waker.close();
}

json::Value Sampler::report(const std::vector<std::pair<double, double>>& windows) const {
  const State& state = *state_;
  auto told = json::Value::array(), energies = json::Value::array();
  for (std::size_t at = 0; at < state.channels.size(); ++at) {
    const Channel& channel = state.channels[at];
    const auto times = channel.counts ? steps(state.traces[at], channel.span).trace.times : state.traces[at].times;
    std::vector<double> gaps;
    for (std::size_t k = 1; k < times.size(); ++k) gaps.push_back(times[k] - times[k - 1]);
    std::sort(gaps.begin(), gaps.end());
    const std::size_t middle = gaps.size() / 2;
    std::optional<double> interval;
    if (!gaps.empty()) interval = gaps.size() % 2 ? gaps[middle] : (gaps[middle - 1] + gaps[middle]) / 2;
    told.add(json::Value::object(
        {{"name", channel.name}, {"sensor", channel.sensor}, {"counts", channel.counts}, {"interval", interval}}));
  }
  for (const auto& [begin, end] : windows) {
    auto those = json::Value::array();
    for (std::size_t at = 0; at < state.channels.size(); ++at) {
      const Channel& channel = state.channels[at];
      those.add((channel.counts ? counter_energy(state.traces[at], begin, end, state.period, channel.span)
                                : power_energy(state.traces[at], begin, end, state.period))
                    .as_json());
    }
    energies.add(std::move(those));
  }
  return json::Value::object({{"period", state.period}, {"channels", std::move(told)}, {"windows", std::move(energies)}});
}

}  // namespace edgetune
