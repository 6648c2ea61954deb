// Measuring a candidate (as compiler/runtime/measure/candidate.py): random arguments, weights cold as they are in a model,
// every repeat kept.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensors.h"

namespace edgetune {

// The job of `edgetune.measure` (docs/agent-protocol.md).
struct Job {
  std::string library;
  std::vector<Argument> arguments;
  std::vector<std::size_t> weights;
  int repeats = 3;
  double repeat_seconds = 0.015;
  std::optional<double> give_up;
  std::optional<int> threads;
  std::string device = "cpu";

  // Throws Error with one line where `text` is no job.
  static Job parse(std::string_view text);
};

class Measurer {
 public:
  // Seconds a call, one number per repeat, of the function `main` of the library at `path`. Throws Error where the output
  // holds a NaN whatever the signs of the inputs, and tvm::ffi::Error where TVM fails.
  std::vector<double> measure(const Job& job, const std::string& path);

 private:
  std::map<std::string, std::unique_ptr<ArgumentSets>> sets_;  // by device
};

}  // namespace edgetune
