// Parts of the native agent, for tests: `native_parts WHAT [ARGUMENT]` writes to standard output what the part says.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>

#include "cooling.h"
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
