#include "folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "error.h"
#include "text.h"

namespace edgetune {

namespace {

constexpr char kPrefix[] = "edgetune-sessions-of-agent-";  // nothing else may be called so: it would be deleted
constexpr char kUnlocked[] = ".edgetune-sessions-of-agent-";  // what it is called until it is locked
constexpr int kMaxDepth = 200;  // each level takes a descriptor

std::string temporary_folder() {
  const char* chosen = std::getenv("TMPDIR");
  return chosen != nullptr && chosen[0] == '/' ? chosen : "/tmp";
}

Descriptor open_folder(int parent, const char* name) {
  return Descriptor(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

void delete_in(int parent, const char* name, int depth) {
  if (unlinkat(parent, name, 0) == 0 || depth > kMaxDepth) return;
  Descriptor folder = open_folder(parent, name);
  if (!folder) {
    fchmodat(parent, name, 0700, 0);  // its owner may forbid itself to look into it
    folder = open_folder(parent, name);
  }
  if (!folder) return;
  fchmod(folder.get(), 0700);
  if (DIR* opened = fdopendir(dup(folder.get()))) {
    while (const dirent* entry = readdir(opened))
      if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
        delete_in(folder.get(), entry->d_name, depth + 1);
    closedir(opened);
  }
  unlinkat(parent, name, AT_REMOVEDIR);
}

void delete_abandoned(const std::string& base) {
  for (const std::string& name : names_in(base, kPrefix)) {
    const std::string path = base + "/" + name;
    const Descriptor folder = open_folder(AT_FDCWD, path.c_str());
    if (folder && flock(folder.get(), LOCK_EX | LOCK_NB) == 0) delete_folder(path);
  }
}

}  // namespace

ScratchFolder::ScratchFolder() {
  const std::string base = temporary_folder();
  delete_abandoned(base);
  std::string made = base + "/" + kUnlocked + "XXXXXX";
  if (mkdtemp(made.data()) == nullptr)
    throw Error("no folder can be made in " + base + " (" + std::strerror(errno) + "); $TMPDIR names another place");
  lock_ = open_folder(AT_FDCWD, made.c_str());
  if (lock_) flock(lock_.get(), LOCK_EX | LOCK_NB);
  path_ = base + "/" + kPrefix + made.substr(made.size() - 6);
  if (rename(made.c_str(), path_.c_str()) != 0) path_ = made;
}

ScratchFolder::~ScratchFolder() { delete_folder(path_); }

std::string ScratchFolder::make(const std::string& name) const {
  const std::string path = path_ + "/" + name;
  if (mkdir(path.c_str(), 0700) != 0) throw Error("cannot make " + path + ": " + std::strerror(errno));
  return path;
}

void delete_folder(const std::string& path) { delete_in(AT_FDCWD, path.c_str(), 0); }

}  // namespace edgetune
