#include "results.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "clocks.h"
#include "error.h"
#include "text.h"

namespace edgetune {

namespace {

constexpr std::size_t kLongestFile = 256 << 20;

// What tells one CPU from another in the text of /proc/cpuinfo.
std::set<std::string> models(const std::string& cpuinfo) {
  std::set<std::string> found;
  for (std::size_t begin = 0; begin < cpuinfo.size();) {
    const std::size_t end = std::min(cpuinfo.find('\n', begin), cpuinfo.size());
    const std::string line = cpuinfo.substr(begin, end - begin);
    begin = end + 1;
    for (const char* name : {"vendor_id", "cpu family", "model", "stepping", "CPU implementer", "CPU part"})
      if (starts_with(line, name)) found.insert(line);
  }
  return found;
}

std::string shown(const json::Value& value) {
  return value.kind() == json::Value::Kind::kString ? value.as_string() : value.dump();
}

void sync_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor opened(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened) fsync(opened.get());
}

}  // namespace

Results::Results(std::string path, const std::string& batch, const json::Value& identity) : path_(std::move(path)) {
  file_ = Descriptor(open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file_) throw Error("cannot write " + path_ + ": " + std::strerror(errno));
  const auto text = read_file(path_, kLongestFile);
  if (!text || text->size() == kLongestFile) throw Error(path_ + " holds no results of a batch: give another name");
  const std::size_t whole = text->rfind('\n') == std::string::npos ? 0 : text->rfind('\n') + 1;
  bool begun = false;
  try {
    begun = go_on(text->substr(0, whole), batch, identity);
    // Less than a first line was written when the power went, or it is somebody else's.
    const std::string_view rest = std::string_view(*text).substr(whole), first = "{\"schema\":1,\"batch\":";
    if (!begun && !rest.empty() && rest.substr(0, first.size()) != first.substr(0, rest.size()))
      throw Error("it is something else");
  } catch (const Error& error) {
    throw Error(path_ + " holds no results to go on with (" + error.what() + "): give another name");
  }
  if (ftruncate(file_.get(), static_cast<off_t>(whole)) != 0)
    throw Error("cannot write " + path_ + ": " + std::strerror(errno));
  if (begun) return;
  write_line(json::Value::object({{"schema", 1}, {"batch", batch}, {"identity", identity}}));
  sync_folder(path_);
}

bool Results::go_on(const std::string& text, const std::string& batch, const json::Value& identity) {
  bool begun = false;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    const json::Value line = json::Value::parse(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    if (begun) {
      const bool failed = !line["error"].is_null();
      if (line["id"].as_string().empty() || failed != line["seconds"].items().empty()) throw Error("a line is no result");
      if (done_.insert(line["id"].as_string()).second && failed) ++failed_;
      continue;
    }
    begun = true;
    if (line["batch"].as_string() != batch) throw Error("they are of another batch");
    const json::Value& then = line["identity"];
    for (const char* name : {"machine", "cores", "tvm", "board"})
      if (then[name].dump() != identity[name].dump())
        throw Error("begun on another board, whose " + std::string(name) + " is " + shown(then[name]));
    if (models(then["cpuinfo"].as_string()) != models(identity["cpuinfo"].as_string()))
      throw Error("begun on another board, with another processor");
  }
  return begun;
}

void Results::add(const std::string& job, const std::string& sha256, const std::vector<double>& seconds,
                  const std::optional<std::string>& error, const std::optional<double>& celsius) {
  auto times = json::Value::array();
  for (const double one : seconds) times.add(one);
  auto line = json::Value::object({{"id", job}, {"sha256", sha256}, {"seconds", std::move(times)}, {"error", error}});
  line.set("time", time_of_day());
  line.set("celsius", celsius);
  write_line(line);
  done_.insert(job);
  failed_ += error ? 1 : 0;
}

void Results::write_line(const json::Value& value) {
  const std::string line = value.dump() + "\n";
  for (std::size_t done = 0; done < line.size();) {
    const ssize_t count = write(file_.get(), line.data() + done, line.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error("cannot write " + path_ + ": " + std::strerror(errno));
    done += static_cast<std::size_t>(count);
  }
  if (fsync(file_.get()) != 0 && errno != EINVAL)  // a pipe has nothing to sync
    throw Error("cannot write " + path_ + ": " + std::strerror(errno));
}

}  // namespace edgetune
