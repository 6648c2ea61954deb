#include "cooling.h"

#include <unistd.h>

#include <algorithm>

#include "clocks.h"
#include "sensors.h"

namespace edgetune {

namespace {
constexpr double kLookEvery = 0.5;  // seconds
}

json::Value cool_down(double celsius, double seconds, const std::string& root) {
  const double begun = now();
  while (true) {
    const Readings found = temperatures(root);
    const double waited = now() - begun;
    const bool reached = found.empty() || found.highest() <= celsius;
    if (reached || waited >= seconds) {
      auto answer = json::Value::object();
      answer.set("celsius", found.empty() ? json::Value() : json::Value(found.highest()));
      answer.set("waited", waited);
      answer.set("reached", reached);
      return answer;
    }
    usleep(static_cast<useconds_t>(1e6 * std::min(kLookEvery, seconds - waited)));
  }
}

}  // namespace edgetune
