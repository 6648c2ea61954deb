#include "power.h"

#include <algorithm>
#include <string>
#include <utility>

#include "clocks.h"
#include "error.h"

namespace edgetune {

namespace {
constexpr double kPeriod = 0.05, kLongestPeriod = 60;  // seconds
}

json::Value Power::channels() {
  auto told = json::Value::array();
  for (const Channel& one : found())
    told.add(json::Value::object({{"name", one.name}, {"sensor", one.sensor}, {"counts", one.counts}}));
  const json::Value why = found().empty() ? json::Value(why_no_channels("")) : json::Value();
  return json::Value::object({{"channels", std::move(told)}, {"why", why}});
}

json::Value Power::start(std::string_view job) {
  const json::Value asked = json::Value::parse(job);
  std::vector<Channel> chosen;
  for (const json::Value& name : asked["channels"].items()) {
    const auto same = [&](const Channel& one) { return one.name == name.as_string(); };
    const auto place = std::find_if(found().begin(), found().end(), same);
    if (place == found().end()) throw Error("there is no channel " + name.as_string());
    chosen.push_back(*place);
  }
  const double period = asked["period"].is_null() ? kPeriod : asked["period"].as_number();
  if (!(period > 0 && period <= kLongestPeriod)) throw Error("the period is no time in seconds");
  sampler_ = nullptr;
  sampler_ = std::make_unique<Sampler>(std::move(chosen), period);
  return json::Value::object({{"period", sampler_->period()}});
}

double Power::edge() { return sampler_ ? sampler_->begin() : now(); }

void Power::run() {
  if (!begin_)
    begin_ = last_ = edge();
  else
    last_ = now();
}

json::Value Power::runs() {
  if (!begin_) throw Error("no run was timed");
  const double time = sampler_ ? sampler_->end() : now();
  const double begin = *begin_;
  begin_.reset();
  return json::Value::object({{"begin", begin}, {"last", last_}, {"now", time}});
}

json::Value Power::stop(std::string_view windows) {
  std::vector<std::pair<double, double>> asked;
  const json::Value parsed = json::Value::parse(windows);
  for (const json::Value& window : parsed.items()) {
    if (window.items().size() != 2) throw Error("a window is a pair of times");
    asked.emplace_back(window.items()[0].as_number(), window.items()[1].as_number());
  }
  const std::unique_ptr<Sampler> sampler = std::move(sampler_);
  if (!sampler) throw Error("no power is sampled");
  sampler->stop();
  return sampler->report(asked);
}

const std::vector<Channel>& Power::found() {
  if (!known_) known_ = edgetune::channels("");
  return *known_;
}

}  // namespace edgetune
