// edgetune-agent: runs on a board without Python what the desk sends.
#include <cstdio>
#include <string_view>

#include "agent.h"
#include "error.h"
#include "offline.h"
#include "options.h"
#include "runtime.h"
#include "version.h"

int main(int count, char** arguments) {
  try {
    if (count > 1 && std::string_view(arguments[1]) == "measure") {
      if (count != 4) throw edgetune::UsageError("give BATCH and RESULTS: edgetune-agent measure BATCH RESULTS");
      edgetune::load_runtime_extra();
      return edgetune::measure_batch(arguments[2], arguments[3]);
    }
    const edgetune::Options options = edgetune::parse_options(count, arguments);
    if (options.help) {
      std::fputs(edgetune::kHelp, stdout);
      return 0;
    }
    if (options.version) {
      std::printf("edgetune-agent %s, TVM %s\n", edgetune::kVersion, edgetune::kTvmVersion);
      return 0;
    }
    // Once, here: a session is forked from this process and has it then.
    edgetune::load_runtime_extra();
    edgetune::Agent(options).run();
    return 0;
  } catch (const edgetune::UsageError& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
