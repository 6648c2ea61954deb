#include "batch.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "error.h"
#include "json.h"
#include "sha256.h"
#include "text.h"

namespace edgetune {

namespace {

constexpr std::size_t kMostJobs = 4096;
constexpr std::int64_t kLongestText = 1 << 30;
constexpr std::int64_t kLargestLibrary = std::int64_t{1} << 32;
constexpr double kLongestJob = 3600;  // seconds

bool is_hex(const std::string& text, std::size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

Batch::Batch(const std::string& path) : archive_(path, kMostJobs + 3) {
  const std::string header = archive_.text("batch.json", kLongestText), jobs = archive_.text("jobs.jsonl", kLongestText);
  archive_.member("candidates.jsonl", kLongestText);
  try {
    const json::Value value = json::Value::parse(header);
    if (value["schema"].as_integer(0, 1 << 20) != 1) throw Error("another edgetune made it");
    id_ = value["batch"].as_string();
    machine_ = value["machine"].as_string();
    threads_ = value["threads"].as_integer(1, 65536);
    Sha256 sum;
    sum.update(jobs.data(), jobs.size());
    if (sum.hex().substr(0, 32) != id_) throw Error("its jobs are not those that it was made with");
    read_jobs(jobs, value["jobs"].as_integer(1, kMostJobs));
  } catch (const Error& error) {
    throw Error(path + " is no batch that can be measured: " + error.what());
  }
}

void Batch::read_jobs(const std::string& text, long long count) {
  std::set<std::string> ids;
  if (text.empty() || text.back() != '\n') throw Error("jobs.jsonl ends in the middle of a line");
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    const json::Value value = json::Value::parse(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    BatchJob job;
    job.id = value["id"].as_string();
    job.library = value["library"].as_string();
    job.sha256 = value["sha256"].as_string();
    job.limit_seconds = value["limit_seconds"].as_number();
    const auto member = archive_.members().find(job.library);
    if (!is_hex(job.id, 32) || !is_hex(job.sha256, 64) || !ids.insert(job.id).second)
      throw Error("the names of its jobs are not right");
    if (!(job.limit_seconds > 0) || job.limit_seconds > kLongestJob) throw Error("the time limit of a job is not right");
    if (member == archive_.members().end() || member->second.size != value["bytes"].as_integer(1, kLargestLibrary))
      throw Error(job.library.substr(0, 100) + " is not the library of its job");
    job.request = value.dump();
    jobs_.push_back(std::move(job));
  }
  if (static_cast<long long>(jobs_.size()) != count) throw Error("its jobs are not as many as it says");
}

void Batch::extract(const BatchJob& job, const std::string& path) const {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700));
  const auto fail = [&] { return Error("cannot write " + path + ": " + std::strerror(errno)); };
  if (!file) throw fail();
  Sha256 sum;
  archive_.read(archive_.member(job.library, kLargestLibrary), [&](std::string_view part) {
    sum.update(part.data(), part.size());
    while (!part.empty()) {
      const ssize_t count = write(file.get(), part.data(), part.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw fail();
      part.remove_prefix(static_cast<std::size_t>(count));
    }
  });
  if (sum.hex() == job.sha256) return;
  unlink(path.c_str());
  throw Error(this->path() + " was damaged on its way here: the checksum of " + job.library + " is wrong; copy it again");
}

}  // namespace edgetune
