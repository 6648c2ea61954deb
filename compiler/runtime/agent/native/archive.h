// The tar that a batch is (compiler/packaging/archive.py): ustar headers, regular files only, in exactly one form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "descriptor.h"

namespace edgetune {

class Archive {
 public:
  struct Member {
    std::int64_t offset = 0;
    std::int64_t size = 0;
  };

  // Throws Error with one line where the file cannot be read, or is no such archive of at most `most` members.
  Archive(std::string path, std::size_t most);

  const std::string& path() const { return path_; }
  const std::map<std::string, Member>& members() const { return members_; }

  // The member of this name, of at most `limit` bytes. Throws Error.
  const Member& member(const std::string& name, std::int64_t limit) const;

  // Hand the bytes of a member to `take`, in parts. Throws Error where the file ends before.
  void read(const Member& member, const std::function<void(std::string_view)>& take) const;
  std::string text(const std::string& name, std::int64_t limit) const;

 private:
  std::string read_at(std::int64_t offset, std::size_t size) const;

  std::string path_;
  Descriptor file_;
  std::map<std::string, Member> members_;
};

}  // namespace edgetune
