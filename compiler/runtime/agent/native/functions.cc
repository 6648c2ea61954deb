#include "functions.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "clocks.h"
#include "cooling.h"
#include "descriptor.h"
#include "error.h"
#include "identity.h"
#include "measure.h"
#include "power.h"
#include "profile.h"
#include "sensors.h"
#include "sha256.h"
#include "text.h"
#include "tvm.h"

namespace edgetune {

namespace ffi = tvm::ffi;

namespace {

// Make `function` one that TVM calls by `name`, its errors such as the desk gets them.
template <typename Result, typename... Arguments, typename Function>
void define(const char* name, Function function) {
  auto guarded = [function = std::move(function)](Arguments... arguments) -> Result {
    try {
      return function(arguments...);
    } catch (const Error& error) {
      throw ffi::Error("RuntimeError", error.what(), "");
    } catch (const std::bad_alloc&) {
      throw ffi::Error("RuntimeError", "there is not enough memory", "");
    }
  };
  define_function(name, ffi::Function::FromTyped(std::move(guarded)));
}

constexpr std::size_t kReceived = 1 << 20;  // bytes at a time

class Files {
 public:
  explicit Files(std::string folder) : folder_(std::move(folder)) {}

  // Where the file of this name is or will be; the folders on the way are made.
  std::string path(const std::string& name) const {
    if (starts_with(name, "/")) return name;
    for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1))
      mkdir((folder_ + "/" + name.substr(0, slash)).c_str(), 0755);
    return folder_ + "/" + name;
  }

  std::int64_t append(const std::string& name, std::string_view data) const {
    const auto fail = [&] { throw Error(name + ": " + std::strerror(errno)); };
    const Descriptor file(open(path(name).c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
    if (!file) fail();
    while (!data.empty()) {
      const ssize_t count = write(file.get(), data.data(), data.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail();
      data.remove_prefix(static_cast<std::size_t>(count));
    }
    return lseek(file.get(), 0, SEEK_END);
  }

  // Put the next `size` bytes of the connection `client` at the end of the file. Where the disk refuses, they are read all
  // the same: what follows them is TVM's.
  std::int64_t receive(const std::string& name, std::int64_t size, int client) const {
    if (size < 0) throw Error("nothing can be received of that size");
    const Descriptor file(open(path(name).c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
    int refused = file ? 0 : errno;
    std::vector<char> buffer(kReceived);
    while (size > 0) {
      const ssize_t count = recv(client, buffer.data(), std::min<std::size_t>(buffer.size(), static_cast<std::size_t>(size)), 0);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) throw Error("the connection ended");
      size -= count;
      for (ssize_t done = 0; done < count && refused == 0;) {
        const ssize_t written = write(file.get(), buffer.data() + done, static_cast<std::size_t>(count - done));
        if (written >= 0) done += written;
        else if (errno != EINTR) refused = errno;
      }
    }
    if (refused != 0) throw Error(name + ": " + std::strerror(refused));
    return lseek(file.get(), 0, SEEK_END);
  }

 private:
  std::string folder_;
};

ffi::String text(const json::Value& value) { return ffi::String(value.dump()); }

}  // namespace

void register_functions(const std::string& folder, const json::Value& gpu, int client) {
  const Files files(folder);
  const auto sensors = std::make_shared<Sensors>();
  const auto measurer = std::make_shared<Measurer>();
  define<ffi::String, ffi::String>("tvm.rpc.server.workpath", [files](const ffi::String& name) {
    return ffi::String(files.path(name));
  });
  define<ffi::Module, ffi::String>("tvm.rpc.server.load_module", [files](const ffi::String& name) {
    return load_library(files.path(name));
  });
  define<ffi::String>("edgetune.identity", [gpu] { return text(identity(gpu)); });
  define<ffi::String>("edgetune.sensors", [sensors] { return text(sensors->read(true)); });
  define<std::int64_t, ffi::String, ffi::Bytes>("edgetune.append", [files](const ffi::String& name, const ffi::Bytes& data) {
    return files.append(name, std::string_view(data.data(), data.size()));
  });
  define<std::int64_t, ffi::String, std::int64_t, ffi::String>(
      "edgetune.receive", [files, client](const ffi::String& name, std::int64_t size, const ffi::String&) {
        return files.receive(name, size, client);
      });
  define<ffi::String, ffi::String>("edgetune.sha256", [files](const ffi::String& name) {
    return ffi::String(sha256_of(files.path(name)));
  });
  define<ffi::String, double, double>("edgetune.cool_down", [](double celsius, double seconds) {
    return text(cool_down(celsius, seconds));
  });
  define<double>("edgetune.clock", [] { return time_of_day(); });
  const auto power = std::make_shared<Power>();
  define<ffi::String>("edgetune.power.channels", [power] { return text(power->channels()); });
  define<ffi::String, ffi::String>("edgetune.power.start", [power](const ffi::String& job) {
    return text(power->start(std::string_view(job.data(), job.size())));
  });
  define<double>("edgetune.power.edge", [power] { return power->edge(); });
  // TVM's timer gives it the arguments of what it times, whatever these are.
  define_function("edgetune.power.run",
                  ffi::Function::FromPacked([power](const ffi::AnyView*, std::int32_t, ffi::Any*) { power->run(); }));
  define<ffi::String>("edgetune.power.runs", [power] { return text(power->runs()); });
  define<ffi::String, ffi::String>("edgetune.power.stop", [power](const ffi::String& windows) {
    return text(power->stop(std::string_view(windows.data(), windows.size())));
  });
  define<ffi::String, ffi::Module, ffi::String>("edgetune.profile", [](const ffi::Module& machine, const ffi::String& job) {
    return text(profile(machine, ProfileJob::parse(std::string_view(job.data(), job.size()))));
  });
  define<ffi::String, ffi::String>("edgetune.measure", [files, measurer](const ffi::String& job) {
    const Job parsed = Job::parse(std::string_view(job.data(), job.size()));
    auto seconds = json::Value::array();
    for (const double one : measurer->measure(parsed, files.path(parsed.library))) seconds.add(one);
    return text(json::Value::object({{"seconds", std::move(seconds)}}));
  });
}

}  // namespace edgetune
