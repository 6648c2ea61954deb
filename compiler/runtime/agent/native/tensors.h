// What a candidate is measured on: random arguments, and many copies of the weights to take turns (as
// compiler/runtime/measure/arguments.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tvm.h"

namespace edgetune {

// Shape and dtype of a parameter.
struct Argument {
  std::vector<std::int64_t> shape;
  std::string dtype;

  bool operator<(const Argument& other) const { return std::tie(shape, dtype) < std::tie(other.shape, other.dtype); }
  std::size_t elements() const;  // throws Error where there are too many to count
  std::size_t bytes() const;
};

using Tensors = std::vector<tvm::ffi::Tensor>;
using Random = std::mt19937_64;

// Memory of whole pages, which nobody else has: a model's weights lie in such.
class Pages {
 public:
  explicit Pages(std::size_t bytes);  // throws std::bad_alloc
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::uint8_t* data_;
  std::size_t size_;
};

// Makes the arguments of one candidate after another. Weights are views into memory that is filled once; what is no weight
// is kept as long as the next candidate takes the same.
class ArgumentSets {
 public:
  explicit ArgumentSets(DLDevice device) : device_(device) {}

  // Each a call's arguments. They share all but the `weights`, positions in `arguments`, of which there are as many copies
  // as fill `cold_bytes`, and at most 64. They may be used until the next call.
  std::vector<Tensors> of(const std::vector<Argument>& arguments, const std::vector<std::size_t>& weights,
                          std::size_t cold_bytes);

 private:
  const Pages& memory(const std::string& dtype, std::size_t bytes, std::size_t cold_bytes);

  DLDevice device_;
  std::map<std::string, std::unique_ptr<Pages>> weights_;  // by dtype
  std::map<std::pair<std::size_t, Argument>, tvm::ffi::Tensor> others_;  // by position
};

// A tensor of random values on `device`: near to normal for floating point (0.1 to 1 if they are to be `positive`), false
// and true, and 0 for integers, which may be indices.
tvm::ffi::Tensor random_tensor(Random& random, const Argument& argument, DLDevice device, bool positive = false);

// Whether a tensor of floating point holds a NaN.
bool holds_nan(const tvm::ffi::Tensor& tensor);

}  // namespace edgetune
