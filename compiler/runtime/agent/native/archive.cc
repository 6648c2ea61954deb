#include "archive.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "error.h"
#include "text.h"

namespace edgetune {

namespace {

constexpr std::int64_t kBlock = 512;
constexpr std::size_t kPart = 1 << 20;

// The one header that a member of this name and size can have.
std::string header(const std::string& name, std::int64_t size) {
  std::string made = name;
  made.resize(100, '\0');
  made += std::string("0000644\0" "0000000\0" "0000000\0", 24);  // mode, owner, group
  made += format("%011llo", static_cast<unsigned long long>(size)) + '\0';
  made += std::string("00000000000\0", 12);  // time: none
  made += "        0";                       // the checksum counts itself as blanks; a regular file
  made += std::string(100, '\0') + std::string("ustar\0" "00", 8) + std::string(64, '\0');
  made += std::string("0000000\0" "0000000\0", 16);
  made.resize(kBlock, '\0');
  unsigned sum = 0;
  for (const char c : made) sum += static_cast<unsigned char>(c);
  return made.replace(148, 8, format("%06o", sum) + std::string("\0 ", 2));
}

bool is_name(std::string_view name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.size() < 100 && kLetters.substr(0, 62).find(name[0]) != std::string_view::npos &&
         name.find_first_not_of(kLetters) == std::string_view::npos;
}

}  // namespace

Archive::Archive(std::string path, std::size_t most) : path_(std::move(path)) {
  file_ = Descriptor(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file_) throw Error("cannot read " + path_ + ": " + std::strerror(errno));
  const std::int64_t end = lseek(file_.get(), 0, SEEK_END);
  const auto damaged = [&](const std::string& why) { return Error(path_ + " is no batch that can be measured: " + why); };
  for (std::int64_t offset = 0;;) {
    if (offset + kBlock > end) throw damaged("it ends too early");
    const std::string found = read_at(offset, kBlock);
    if (found.find_first_not_of('\0') == std::string::npos) return;
    const std::string name = found.c_str();
    const std::string digits = found.substr(124, 11);
    if (!is_name(name) || digits.find_first_not_of("01234567") != std::string::npos)
      throw damaged("it holds what belongs to no batch");
    const std::int64_t size = std::stoll(digits, nullptr, 8);
    if (found != header(name, size)) throw damaged("the header of " + name + " is not as it is written");
    offset += kBlock;
    if (size > end - offset) throw damaged("it ends in " + name);
    if (members_.size() >= most) throw damaged("it holds too many files");
    if (!members_.emplace(name, Member{offset, size}).second) throw damaged(name + " is there twice");
    offset += (size + kBlock - 1) / kBlock * kBlock;
  }
}

const Archive::Member& Archive::member(const std::string& name, std::int64_t limit) const {
  const auto found = members_.find(name);
  if (found == members_.end()) throw Error(path_ + " is no batch that can be measured: " + name + " is missing");
  if (found->second.size > limit) throw Error(path_ + " is no batch that can be measured: " + name + " is too large");
  return found->second;
}

void Archive::read(const Member& member, const std::function<void(std::string_view)>& take) const {
  for (std::int64_t done = 0; done < member.size;) {
    const auto part = static_cast<std::size_t>(std::min<std::int64_t>(kPart, member.size - done));
    take(read_at(member.offset + done, part));
    done += static_cast<std::int64_t>(part);
  }
}

std::string Archive::text(const std::string& name, std::int64_t limit) const {
  std::string made;
  read(member(name, limit), [&](std::string_view part) { made += part; });
  return made;
}

std::string Archive::read_at(std::int64_t offset, std::size_t size) const {
  std::string bytes(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const ssize_t count = pread(file_.get(), &bytes[done], size - done, offset + static_cast<std::int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw Error("cannot read " + path_ + ": " + (count < 0 ? std::strerror(errno) : "it became shorter"));
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

}  // namespace edgetune
