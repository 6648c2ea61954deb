#include "energy.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "text.h"

namespace edgetune {

namespace {

Energy none(std::string why) {
  Energy made;
  made.why = std::move(why);
  return made;
}

Energy coarse(double longest, double window) {
  return none(format("readings %.3g s apart are too few for a window of %.3g s", longest, window));
}

std::optional<Energy> refusal(const std::vector<double>& times, double begin, double end, double period) {
  if (times.size() < 2 || !(times.front() <= begin && begin < end && end <= times.back()))
    return none("the readings do not cover the window");
  if (end - begin < period)
    return none(format("a window of %.3g s is shorter than the %.3g s between readings", end - begin, period));
  return std::nullopt;
}

// The last reading at or before `begin`, and the first at or after `end`.
std::size_t last_until(const std::vector<double>& times, double begin) {
  return static_cast<std::size_t>(std::upper_bound(times.begin(), times.end(), begin) - times.begin()) - 1;
}

std::size_t first_from(const std::vector<double>& times, double end) {
  return static_cast<std::size_t>(std::lower_bound(times.begin(), times.end(), end) - times.begin());
}

double between(const Trace& trace, std::size_t at, double time) {
  const double share = (time - trace.times[at]) / (trace.times[at + 1] - trace.times[at]);
  return trace.values[at] + share * (trace.values[at + 1] - trace.values[at]);
}

double from_nearest(const std::vector<double>& times, std::size_t at, double edge) {
  return std::max(0.0, std::min(edge - times[at], times[at + 1] - edge));
}

}  // namespace

json::Value Energy::as_json() const {
  return json::Value::object({{"joules", joules}, {"doubt", doubt}, {"why", why}});
}

Energy power_energy(const Trace& power, double begin, double end, double period) {
  const std::vector<double>& times = power.times;
  if (const auto why = refusal(times, begin, end, period)) return *why;
  const std::size_t first = last_until(times, begin), last = first_from(times, end);
  double longest = 0;
  for (std::size_t at = first; at < last; ++at) longest = std::max(longest, times[at + 1] - times[at]);
  if (2 * longest > end - begin) return coarse(longest, end - begin);
  double joules = 0, time = begin, watts = between(power, first, begin);
  const auto go_on = [&](double later, double then) {
    joules += (later - time) * (watts + then) / 2;
    time = later;
    watts = then;
  };
  for (std::size_t at = first + 1; at < last; ++at)
    if (begin < times[at] && times[at] < end) go_on(times[at], power.values[at]);
  go_on(end, between(power, last - 1, end));
  Energy made;
  made.joules = joules;
  for (const auto& [at, edge] : {std::pair{first, begin}, std::pair{last - 1, end}})
    made.doubt += std::fabs(power.values[at + 1] - power.values[at]) * from_nearest(times, at, edge);
  return made;
}

Energy counter_energy(const Trace& counter, double begin, double end, double period, std::optional<double> span) {
  const Steps found = steps(counter, span);
  const std::vector<double>& times = found.trace.times;
  const std::vector<double>& total = found.trace.values;
  if (const auto why = refusal(times, begin, end, period)) return *why;
  const std::size_t first = last_until(times, begin), last = first_from(times, end);
  for (const double reset : found.resets)
    if (times[first] < reset && reset <= times[last]) return none("the counter of energy was reset");
  const double away[] = {from_nearest(times, first, begin), from_nearest(times, last - 1, end)};
  if (4 * (away[0] + away[1]) > end - begin)
    return coarse(std::max(times[first + 1] - times[first], times[last] - times[last - 1]), end - begin);
  Energy made;
  made.joules = between(found.trace, last - 1, end) - between(found.trace, first, begin);
  const std::size_t edges[] = {first, last - 1};
  for (int k = 0; k < 2; ++k) {
    const std::size_t at = edges[k];
    made.doubt += away[k] * (total[at + 1] - total[at]) / (times[at + 1] - times[at]);
  }
  return made;
}

Steps steps(const Trace& counter, std::optional<double> span) {
  Steps made;
  if (counter.times.empty()) return made;
  made.trace.times.push_back(counter.times[0]);
  made.trace.values.push_back(0);
  for (std::size_t at = 1; at < counter.times.size(); ++at) {
    double grown = counter.values[at] - counter.values[at - 1];
    if (grown == 0) continue;
    if (grown < 0) {
      grown = span ? grown + *span : -1;
      if (grown < 0 || (span && grown > *span / 2)) {
        made.resets.push_back(counter.times[at]);
        grown = 0;
      }
    }
    made.trace.times.push_back(counter.times[at]);
    made.trace.values.push_back(made.trace.values.back() + grown);
  }
  return made;
}

}  // namespace edgetune
