#include "profile.h"

#include <time.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "clocks.h"
#include "device_events.h"
#include "error.h"
#include "text.h"

namespace edgetune {

namespace ffi = tvm::ffi;

namespace {

constexpr int kMaxRuns = 10000;
constexpr int kOwnArguments = 4;  // function, name, whether before, result: then what the function is called with

long long nanoseconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

bool is_kernel(const std::string& name) {
  return !starts_with(name, "vm.builtin.") || starts_with(name, "vm.builtin.cuda_graph.");
}

double bytes_of(const ffi::AnyView& argument) {
  if (argument.type_index() != ffi::TypeIndex::kTVMFFITensor) return 0;
  const auto tensor = argument.cast<ffi::Tensor>();
  const DLDataType type = tensor.dtype();
  const int bits = type.bits * type.lanes;
  return static_cast<double>(tensor.numel()) * ((bits + 7) / 8);
}

class Recorder {
 public:
  Recorder(DLDevice device, std::unique_ptr<DeviceEvents> events) : device_(device), events_(std::move(events)) {}

  // What the virtual machine calls before and after each of its calls.
  void note(const ffi::AnyView* arguments, int count) {
    if (count < kOwnArguments) return;
    const std::string name = arguments[1].cast<std::string>();
    const bool kernel = is_kernel(name);
    if (arguments[2].cast<bool>()) {
      open_.push_back(calls_.size());
      calls_.push_back({number_of(name, arguments, count), static_cast<int>(open_.size()) - 1, 0, 0, {}, {}});
      if (kernel && events_) calls_.back().first = events_->record();
      calls_.back().start = nanoseconds_now() - origin_;
      return;
    }
    if (kernel && !events_) sync();
    const long long end = nanoseconds_now() - origin_;
    if (open_.empty()) return;
    Call& call = calls_[open_.back()];
    open_.pop_back();
    if (kernel && events_) call.last = events_->record();
    call.nanoseconds = end - call.start;
  }

  template <typename Invoke>
  json::Value run(Invoke invoke) {
    calls_.clear();
    open_.clear();
    sync();
    DeviceEvents::Event beginning{};
    if (events_) {
      events_->reuse();
      beginning = events_->record();
    }
    const double began = time_of_day();
    origin_ = nanoseconds_now();
    invoke();
    sync();
    const long long took = nanoseconds_now() - origin_;
    auto calls = json::Value::array();
    for (Call& call : calls_) {
      if (call.first && call.last) {
        call.start = events_->nanoseconds(beginning, call.first);
        call.nanoseconds = events_->nanoseconds(call.first, call.last);
      }
      calls.add(json::Value::array({static_cast<long long>(call.number), call.depth, call.start, call.nanoseconds}));
    }
    return json::Value::object({{"began", began}, {"nanoseconds", took}, {"calls", std::move(calls)}});
  }

  // With `runs`, all that was recorded.
  json::Value told(json::Value runs) const {
    auto names = json::Value::array(), bytes = json::Value::array();
    for (const std::string& name : names_) names.add(name);
    for (const double size : bytes_) bytes.add(size);
    return json::Value::object({{"clock", events_ ? "device" : "host"},
                                {"names", std::move(names)},
                                {"bytes", std::move(bytes)},
                                {"runs", std::move(runs)}});
  }

  void sync() {
    if (device_.device_type != kDLCPU) call(tvm_function("runtime.Device_StreamSync"), device_, 0);
  }

 private:
  struct Call {
    std::size_t number;
    int depth;
    long long start;
    long long nanoseconds;
    DeviceEvents::Event first;
    DeviceEvents::Event last;
  };

  std::size_t number_of(const std::string& name, const ffi::AnyView* arguments, int count) {
    const auto [known, is_new] = numbers_.emplace(name, names_.size());
    if (is_new) {
      double size = 0;
      for (int k = kOwnArguments; k < count; ++k) size += bytes_of(arguments[k]);
      names_.push_back(name);
      bytes_.push_back(size);
    }
    return known->second;
  }

  DLDevice device_;
  std::unique_ptr<DeviceEvents> events_;
  std::vector<std::string> names_;
  std::vector<double> bytes_;
  std::map<std::string, std::size_t> numbers_;
  std::vector<Call> calls_;
  std::vector<std::size_t> open_;  // positions of the calls under way
  long long origin_ = 0;
};

}  // namespace

ProfileJob ProfileJob::parse(std::string_view text) {
  try {
    const json::Value value = json::Value::parse(text);
    ProfileJob job;
    value.members();  // it is an object
    if (!value["function"].is_null()) job.function = value["function"].as_string();
    if (!value["runs"].is_null()) job.runs = static_cast<int>(value["runs"].as_integer(1, kMaxRuns));
    if (!value["warm_up"].is_null()) job.warm_up = value["warm_up"].as_bool();
    if (!value["device"].is_null()) job.device = value["device"].as_string();
    device_of(job.device);
    return job;
  } catch (const Error& error) {
    throw Error(std::string("this is no job: ") + error.what());
  }
}

json::Value profile(const ffi::Module& machine, const ProfileJob& job) {
  const DLDevice device = device_of(job.device);
  const auto instrument = function_of(machine, "set_instrument");
  const auto invoke = function_of(machine, "invoke_stateful");
  if (!instrument || !invoke) throw Error("this is no model");
  const auto recorder = std::make_shared<Recorder>(device, device_events(device));
  const auto run = [&] { call(invoke.value(), ffi::String(job.function)); };
  if (job.warm_up) {
    run();
    recorder->sync();
  }
  call(instrument.value(), through_c(ffi::Function::FromPacked(
                               [recorder](const ffi::AnyView* arguments, std::int32_t count, ffi::Any* result) {
                                 recorder->note(arguments, count);
                                 *result = std::int64_t{0};
                               })));
  if (job.warm_up) recorder->run(run);
  auto runs = json::Value::array();
  for (int k = 0; k < job.runs; ++k) runs.add(recorder->run(run));
  return recorder->told(std::move(runs));
}

}  // namespace edgetune
