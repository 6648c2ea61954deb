#include "measure.h"

#include <sys/sysinfo.h>

#include <algorithm>

#include "clocks.h"
#include "cpus.h"
#include "error.h"
#include "json.h"
#include "text.h"

namespace edgetune {

namespace ffi = tvm::ffi;

namespace {

constexpr std::size_t kColdBytes = 256 << 20;
constexpr double kWarmSeconds = 0.003;  // threads that have slept miss the first calls
constexpr int kMaxRepeats = 10000;
constexpr int kMaxDimensions = 16;

std::size_t cold_bytes() {
  struct sysinfo memory{};
  if (sysinfo(&memory) != 0) return kColdBytes;
  return std::min<std::size_t>(kColdBytes, memory.totalram * memory.mem_unit / 8);
}


// Sets the threads of a library's own pool while it lives. A library that was linked without one runs on TVM's.
class LibraryThreads {
 public:
  LibraryThreads(const ffi::Module& library, const std::optional<int>& threads)
      : set_(function_of(library, "edgetune_set_threads")) {
    if (!set_ || !threads) return;
    std::vector<ffi::AnyView> arguments{*threads};
    for (const int cpu : compute_cpus(*threads)) arguments.emplace_back(cpu);
    const int actual = call_packed(set_.value(), arguments.data(), arguments.size()).cast<int>();
    if (actual != *threads) {
      end();
      throw Error(format("%d threads were asked for, and this process could only make %d", *threads, actual));
    }
  }
  ~LibraryThreads() { end(); }
  LibraryThreads(const LibraryThreads&) = delete;
  LibraryThreads& operator=(const LibraryThreads&) = delete;

 private:
  void end() {
    if (set_) edgetune::call(set_.value(), 0);
  }

  ffi::Optional<ffi::Function> set_;
};

// A function with sets of arguments that take turns: a repeat that began at the first copy again would find it in the cache.
class Calls {
 public:
  Calls(ffi::Function function, const std::vector<Tensors>& sets, DLDevice device)
      : function_(std::move(function)), device_(device) {
    for (const Tensors& one : sets) sets_.emplace_back(one.begin(), one.end());
    if (device.device_type != kDLCPU) sync_ = tvm_function("runtime.Device_StreamSync");
  }

  void call(std::size_t set) {
    call_packed(function_, sets_[set].data(), sets_[set].size());
  }

  void warm() {
    const double begun = now();
    do {
      next();
      wait();
    } while (now() - begun <= kWarmSeconds);
  }

  double seconds(long long calls) {
    const double begun = now();
    for (long long k = 0; k < calls; ++k) next();
    wait();
    return (now() - begun) / static_cast<double>(calls);
  }

 private:
  void next() {
    call(turn_);
    turn_ = (turn_ + 1) % sets_.size();
  }

  // A GPU's calls return when they are queued.
  void wait() {
    if (sync_) edgetune::call(*sync_, device_, 0);
  }

  ffi::Function function_;
  std::vector<std::vector<ffi::AnyView>> sets_;
  DLDevice device_;
  std::optional<ffi::Function> sync_;
  std::size_t turn_ = 0;
};

// Throws Error if the output, the last argument, holds a NaN for inputs of either sign. A root or a logarithm gets positive
// numbers from the kernel before it, in a model.
void must_not_give_nan(const ffi::Function& main, const std::vector<Argument>& arguments, const ffi::Tensor& output,
                       DLDevice device) {
  if (!holds_nan(output)) return;
  Random random(0);
  Tensors positive;
  for (const Argument& argument : arguments) positive.push_back(random_tensor(random, argument, device, true));
  Calls(main, {positive}, device).call(0);
  if (holds_nan(positive.back())) throw Error("the output holds NaN");
}

}  // namespace

Job Job::parse(std::string_view text) {
  try {
    const json::Value value = json::Value::parse(text);
    Job job;
    job.library = value["library"].as_string();
    for (const json::Value& one : value["arguments"].items()) {
      if (one.items().size() != 2) throw Error("an argument is a shape and a dtype");
      Argument argument;
      for (const json::Value& size : one.items()[0].items()) argument.shape.push_back(size.as_integer(0, 1LL << 40));
      if (argument.shape.size() > kMaxDimensions) throw Error("a shape has too many dimensions");
      argument.dtype = one.items()[1].as_string();
      argument.bytes();  // says so where that makes no sense
      job.arguments.push_back(std::move(argument));
    }
    if (job.arguments.empty()) throw Error("there are no arguments");
    const auto last = static_cast<long long>(job.arguments.size()) - 1;
    if (!value["weights"].is_null())
      for (const json::Value& position : value["weights"].items())
        job.weights.push_back(static_cast<std::size_t>(position.as_integer(0, last)));
    if (!value["repeats"].is_null()) job.repeats = static_cast<int>(value["repeats"].as_integer(1, kMaxRepeats));
    if (!value["repeat_seconds"].is_null()) job.repeat_seconds = value["repeat_seconds"].as_number();
    if (!value["give_up"].is_null()) job.give_up = value["give_up"].as_number();
    if (!value["threads"].is_null()) job.threads = static_cast<int>(value["threads"].as_integer(1, 1024));
    if (!value["device"].is_null()) job.device = value["device"].as_string();
    device_of(job.device);
    return job;
  } catch (const Error& error) {
    throw Error(std::string("this is no job: ") + error.what());
  }
}

std::vector<double> Measurer::measure(const Job& job, const std::string& path) {
  const DLDevice device = device_of(job.device);
  const ffi::Module library = load_library(path);
  const LibraryThreads threads(library, job.threads);
  const auto main = function_of(library, "main");
  if (!main) throw Error(job.library + " has no function main");
  auto& known = sets_[job.device];
  if (!known) known = std::make_unique<ArgumentSets>(device);
  const std::vector<Tensors> sets = known->of(job.arguments, job.weights, cold_bytes());

  Calls calls(main.value(), sets, device);
  calls.call(sets.size() - 1);  // first touch of scratch memory
  must_not_give_nan(main.value(), job.arguments, sets.back().back(), device);
  calls.warm();
  double first = calls.seconds(1);
  if (job.give_up && first > *job.give_up) {
    first = std::min(first, calls.seconds(1));
    if (first > *job.give_up) return {first};
  }
  const auto count = std::max(1LL, static_cast<long long>(job.repeat_seconds / std::max(first, 1e-7)));
  std::vector<double> seconds;
  for (int k = 0; k < job.repeats; ++k) seconds.push_back(calls.seconds(count));
  return seconds;
}

}  // namespace edgetune
