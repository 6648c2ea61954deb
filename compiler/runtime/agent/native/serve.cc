#include "serve.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdio>

#include "functions.h"
#include "runtime.h"
#include "session.h"
#include "tvm.h"
#include "wire.h"

namespace edgetune {

namespace {

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

int serve(int client, const std::string& folder, const std::string& key, const json::Value& gpu) {
  try {
    load_runtime_cuda();
    register_functions(folder, gpu, client);
    const tvm::ffi::Function loop = tvm_function("rpc.ServerLoop");
    if (!send_all(client, pack_int(kMagic) + pack_text("server:" + key))) return Session::kDone;  // it has gone
    call(loop, client);
    return Session::kDone;
  } catch (const tvm::ffi::Error& error) {
    std::fprintf(stderr, "%s\n", one_line(error).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return Session::kFailed;
}

}  // namespace edgetune
