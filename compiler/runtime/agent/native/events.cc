#include "events.h"

#include <cmath>

#include "clocks.h"

namespace edgetune {

void Events::wait() {
  int milliseconds = -1;
  if (time_ != kNever) milliseconds = static_cast<int>(std::clamp(std::ceil((time_ - now()) * 1e3), 0.0, 6e4));
  if (poll(polls_.data(), polls_.size(), milliseconds) <= 0) return;  // a signal, or the time has come
  for (std::size_t k = 0; k < polls_.size(); ++k)
    if (polls_[k].revents != 0) handlers_[k](polls_[k].revents);
}

}  // namespace edgetune
