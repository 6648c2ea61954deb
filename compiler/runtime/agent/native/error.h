// What goes wrong and is told to somebody: one line.
#pragma once

#include <stdexcept>
#include <string>

namespace edgetune {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The command line is not right: exit status 2.
struct UsageError : Error {
  using Error::Error;
};

}  // namespace edgetune
