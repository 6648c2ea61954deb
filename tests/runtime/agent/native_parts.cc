// Parts of the native agent, for tests: `native_parts WHAT [ARGUMENT]` writes to standard output what the part says.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>

#include "channels.h"
#include "cooling.h"
#include "energy.h"
#include "error.h"
#include "identity.h"
#include "json.h"
#include "sensors.h"
#include "sha256.h"
#include "text.h"

using namespace edgetune;

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "", argument = count > 2 ? arguments[2] : "";
  try {
    if (what == "sha256") {
      std::puts(sha256_of(argument).c_str());
    } else if (what == "json") {
      // One text a line; its normal form, or what is wrong.
      for (std::string line; std::getline(std::cin, line);) {
        try {
          std::puts(json::Value::parse(line).dump().c_str());
        } catch (const Error& error) {
          std::printf("error: %s\n", error.what());
        }
      }
    } else if (what == "string") {
      const std::string bytes{std::istreambuf_iterator<char>(std::cin), {}};
      std::puts(json::Value(bytes).dump().c_str());
    } else if (what == "sensors") {
      Sensors sensors(argument);
      std::puts(sensors.read(true).dump().c_str());
    } else if (what == "channels") {
      auto told = json::Value::array();
      for (const Channel& one : channels(argument))
        told.add(json::Value::object({{"name", one.name}, {"sensor", one.sensor}, {"counts", one.counts},
                                      {"span", one.span}, {"value", one.read()}}));
      std::puts(told.dump().c_str());
    } else if (what == "energy") {
      // A trace and a window a line.
      for (std::string line; std::getline(std::cin, line);) {
        const json::Value given = json::Value::parse(line);
        Trace trace;
        for (const json::Value& time : given["times"].items()) trace.times.push_back(time.as_number());
        for (const json::Value& value : given["values"].items()) trace.values.push_back(value.as_number());
        const double begin = given["begin"].as_number(), end = given["end"].as_number(),
                     period = given["period"].as_number();
        std::optional<double> span;
        if (!given["span"].is_null()) span = given["span"].as_number();
        const Energy energy = given["counts"].as_bool() ? counter_energy(trace, begin, end, period, span)
                                                        : power_energy(trace, begin, end, period);
        std::puts(energy.as_json().dump().c_str());
      }
    } else if (what == "identity") {
      std::puts(identity({}, argument).dump().c_str());
    } else if (what == "cool_down") {
      std::puts(cool_down(45, 0.05, argument).dump().c_str());
    } else {
      return 2;
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
