// A batch of candidates that was carried to this board in a file (docs/offline.md).
#pragma once

#include <string>
#include <vector>

#include "archive.h"

namespace edgetune {

struct BatchJob {
  std::string id;
  std::string library;  // the member
  std::string sha256;
  double limit_seconds = 0;
  std::string request;  // JSON of the job as `edgetune.measure` takes it
};

class Batch {
 public:
  // Throws Error with one line where the file is no batch, or a damaged one.
  explicit Batch(const std::string& path);

  const std::string& id() const { return id_; }
  const std::string& machine() const { return machine_; }
  long long threads() const { return threads_; }
  const std::vector<BatchJob>& jobs() const { return jobs_; }
  const std::string& path() const { return archive_.path(); }

  // Write the library of a job to the file `path`. Throws Error where it is not what the job says.
  void extract(const BatchJob& job, const std::string& path) const;

 private:
  void read_jobs(const std::string& text, long long count);

  Archive archive_;
  std::string id_;
  std::string machine_;
  long long threads_ = 0;
  std::vector<BatchJob> jobs_;
};

}  // namespace edgetune
