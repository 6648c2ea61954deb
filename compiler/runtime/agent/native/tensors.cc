#include "tensors.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <set>

#include "error.h"
#include "text.h"

namespace edgetune {

namespace ffi = tvm::ffi;

namespace {

constexpr std::size_t kMaxCopies = 64;
constexpr std::size_t kAlignment = 64;       // bytes; what generated code expects of a tensor's address
constexpr std::size_t kPattern = 1 << 20;    // random values that the copies repeat: 256 MB of them would take a second
constexpr std::size_t kMostBytes = std::size_t{1} << 46;

std::size_t rounded_up(std::size_t value, std::size_t to) { return (value + to - 1) / to * to; }

DLDataType dtype_of(const std::string& name) {
  DLDataType type{};
  const TVMFFIByteArray text{name.data(), name.size()};
  if (TVMFFIDataTypeFromString(&text, &type) != 0) {
    ffi::details::MoveFromSafeCallRaised();
    throw Error("there is no dtype " + name);
  }
  const bool whole = type.bits == 8 || type.bits == 16 || type.bits == 32 || type.bits == 64;
  if (type.lanes != 1 || !whole) throw Error("the dtype " + name + " is not measured");
  return type;
}

std::uint16_t half_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) return static_cast<std::uint16_t>(sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00));
  if (magnitude < 0x38800000) {  // below the smallest normal number
    const float scaled = std::fabs(value) * 16777216.0f;  // 2^24
    return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(std::nearbyint(scaled)));
  }
  // The rounding may carry into the exponent, and that is right.
  return static_cast<std::uint16_t>(sign | (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

// The sum of four uniform numbers, with the mean and the spread of a normal one: good enough to multiply, and cheap.
float near_normal(Random& random) {
  const std::uint64_t bits = random();
  const auto sum = static_cast<float>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
  return (sum / 65536.0f - 2.0f) * 1.7320508f;
}

void fill(Random& random, std::uint8_t* data, std::size_t count, DLDataType type, bool positive) {
  const auto draw = [&]() -> float {
    return positive ? 0.1f + 0.9f * static_cast<float>(random() >> 40) / 16777216.0f : near_normal(random);
  };
  const auto put = [&](auto make) {
    for (std::size_t k = 0; k < count; ++k) {
      const auto value = make();
      std::memcpy(data + k * sizeof value, &value, sizeof value);
    }
  };
  if (type.code == kDLFloat && type.bits == 32) {
    put(draw);
  } else if (type.code == kDLFloat && type.bits == 64) {
    put([&] { return static_cast<double>(draw()); });
  } else if (type.code == kDLFloat && type.bits == 16) {
    put([&] { return half_of(draw()); });
  } else if (type.code == kDLBool) {
    put([&] { return static_cast<std::uint8_t>(random() & 1); });
  } else {
    std::memset(data, 0, count * (type.bits / 8u));
  }
}

// A tensor's memory: its own, or a part of what somebody else keeps.
struct OwnMemory {
  void AllocData(DLTensor* tensor, std::size_t bytes) {
    tensor->data = std::aligned_alloc(kAlignment, rounded_up(std::max<std::size_t>(bytes, 1), kAlignment));
    if (tensor->data == nullptr) throw std::bad_alloc();
  }
  void FreeData(DLTensor* tensor) { std::free(tensor->data); }
};

struct BorrowedMemory {
  void AllocData(DLTensor* tensor, std::uint8_t* data) { tensor->data = data; }
  void FreeData(DLTensor*) {}
};

ffi::ShapeView view_of(const std::vector<std::int64_t>& shape) { return {shape.data(), shape.size()}; }

constexpr DLDevice kHost{kDLCPU, 0};

ffi::Tensor to_device(ffi::Tensor tensor, DLDevice device) {
  if (device.device_type == kDLCPU) return tensor;
  static const ffi::Function allocate = tvm_function("runtime.TVMTensorAllocWithScope");
  static const ffi::Function copy = tvm_function("runtime.TVMTensorCopyFromTo");
  auto made = call(allocate, ffi::Shape(tensor.shape()), tensor.dtype(), device, nullptr).cast<ffi::Tensor>();
  call(copy, tensor, made);
  return made;
}

}  // namespace

std::size_t Argument::elements() const {
  std::size_t count = 1;
  for (const std::int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(count, static_cast<std::size_t>(size), &count) || count > kMostBytes)
      throw Error("a shape is not one that memory holds");
  return count;
}

std::size_t Argument::bytes() const { return elements() * (dtype_of(dtype).bits / 8u); }

Pages::Pages(std::size_t bytes) : size_(bytes) {
  void* space = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (space == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::uint8_t*>(space);
}

Pages::~Pages() { munmap(data_, size_); }

std::vector<Tensors> ArgumentSets::of(const std::vector<Argument>& arguments, const std::vector<std::size_t>& weights,
                                      std::size_t cold_bytes) {
  const std::set<std::size_t> rotated(weights.begin(), weights.end());
  auto kept = std::move(others_);
  others_.clear();
  for (std::size_t p = 0; p < arguments.size(); ++p) {
    const auto known = kept.find({p, arguments[p]});
    if (!rotated.count(p) && known != kept.end()) others_.emplace(known->first, known->second);
  }
  kept.clear();  // before more is made: it may be much
  Random random(0);
  std::vector<std::optional<ffi::Tensor>> shared(arguments.size());
  for (std::size_t p = 0; p < arguments.size(); ++p) {
    if (rotated.count(p)) continue;
    auto known = others_.find({p, arguments[p]});
    if (known == others_.end())
      known = others_.emplace(std::pair(p, arguments[p]), random_tensor(random, arguments[p], device_)).first;
    shared[p] = known->second;
  }

  std::size_t size = 0;
  std::map<std::string, std::size_t> strides;  // by dtype: the bytes of one copy
  for (const std::size_t p : rotated) {
    size += arguments[p].bytes();
    strides[arguments[p].dtype] += rounded_up(arguments[p].bytes(), kAlignment);
  }
  const std::size_t copies = size > 0 ? std::clamp<std::size_t>((cold_bytes + size - 1) / size, 1, kMaxCopies) : 1;
  for (auto known = weights_.begin(); known != weights_.end();)
    known = strides.count(known->first) ? std::next(known) : weights_.erase(known);
  std::vector<Tensors> sets;
  for (std::size_t copy = 0; copy < copies; ++copy) {
    std::map<std::string, std::size_t> offsets;
    Tensors made;
    for (std::size_t p = 0; p < arguments.size(); ++p) {
      if (shared[p]) {
        made.push_back(*shared[p]);
        continue;
      }
      const Argument& argument = arguments[p];
      const std::size_t stride = strides[argument.dtype];
      const Pages& pages = memory(argument.dtype, std::max<std::size_t>(stride * copies, 1), cold_bytes);
      std::uint8_t* data = pages.data() + stride * copy + offsets[argument.dtype];
      offsets[argument.dtype] += rounded_up(argument.bytes(), kAlignment);
      made.push_back(to_device(
          ffi::Tensor::FromNDAlloc(BorrowedMemory(), view_of(argument.shape), dtype_of(argument.dtype), kHost, data),
          device_));
    }
    sets.push_back(std::move(made));
  }
  return sets;
}

const Pages& ArgumentSets::memory(const std::string& dtype, std::size_t bytes, std::size_t cold_bytes) {
  std::unique_ptr<Pages>& known = weights_[dtype];
  if (known && bytes <= known->size() && known->size() <= 2 * std::max(bytes, cold_bytes)) return *known;
  known.reset();  // before more is made
  const DLDataType type = dtype_of(dtype);
  const std::size_t item = type.bits / 8u;
  // An eighth more than is wanted now: another task's copies do not end at the same byte.
  known = std::make_unique<Pages>(rounded_up(bytes + bytes / 8, item));
  Random random(0);
  const std::size_t pattern = std::min(kPattern * item, known->size());
  fill(random, known->data(), pattern / item, type, false);
  for (std::size_t first = pattern; first < known->size(); first += pattern)
    std::memcpy(known->data() + first, known->data(), std::min(pattern, known->size() - first));
  return *known;
}

ffi::Tensor random_tensor(Random& random, const Argument& argument, DLDevice device, bool positive) {
  const DLDataType type = dtype_of(argument.dtype);
  auto made = ffi::Tensor::FromNDAlloc(OwnMemory(), view_of(argument.shape), type, kHost, argument.bytes());
  fill(random, static_cast<std::uint8_t*>(made.data_ptr()), argument.elements(), type, positive);
  return to_device(std::move(made), device);
}

bool holds_nan(const ffi::Tensor& tensor) {
  if (tensor.dtype().code != kDLFloat) return false;
  const auto count = static_cast<std::size_t>(tensor.numel());
  const unsigned bits = tensor.dtype().bits;
  std::vector<std::uint8_t> copied;
  const auto* data = static_cast<const std::uint8_t*>(tensor.data_ptr());
  if (tensor.device().device_type != kDLCPU) {
    copied.resize(count * (bits / 8));
    call(tvm_function("runtime.TVMTensorCopyToBytes"), tensor, static_cast<void*>(copied.data()),
         static_cast<std::int64_t>(copied.size()));
    data = copied.data();
  }
  const auto any = [&](auto kind, auto is_nan) {
    for (std::size_t k = 0; k < count; ++k) {
      auto value = kind;
      std::memcpy(&value, data + k * sizeof value, sizeof value);
      if (is_nan(value)) return true;
    }
    return false;
  };
  if (bits == 32) return any(float{}, [](float value) { return std::isnan(value); });
  if (bits == 64) return any(double{}, [](double value) { return std::isnan(value); });
  return any(std::uint16_t{}, [](std::uint16_t value) { return (value & 0x7fff) > 0x7c00; });
}

}  // namespace edgetune
