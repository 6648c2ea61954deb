// edgetune-agent: runs on a board without Python what the desk sends.
#include <cstdio>

#include "agent.h"
#include "error.h"
#include "options.h"
#include "runtime.h"
#include "version.h"

int main(int count, char** arguments) {
  try {
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
