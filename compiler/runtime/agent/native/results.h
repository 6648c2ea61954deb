// The file that is carried back from a board (docs/offline.md): nothing of it is lost when the power goes.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "descriptor.h"
#include "json.h"

namespace edgetune {

class Results {
 public:
  // Begin the results of `batch` on the board that says `identity` of itself, or go on with those at `path`. Throws Error
  // where what is there is something else, and where it cannot be written.
  Results(std::string path, const std::string& batch, const json::Value& identity);

  // Keep the result of a job: it is on disk when this returns. Throws Error.
  void add(const std::string& job, const std::string& sha256, const std::vector<double>& seconds,
           const std::optional<std::string>& error, const std::optional<double>& celsius);

  const std::set<std::string>& done() const { return done_; }
  std::size_t failed() const { return failed_; }

 private:
  bool go_on(const std::string& text, const std::string& batch, const json::Value& identity);
  void write_line(const json::Value& value);

  std::string path_;
  Descriptor file_;
  std::set<std::string> done_;  // ids of jobs
  std::size_t failed_ = 0;
};

}  // namespace edgetune
