// Folders that live no longer than what they are for.
#pragma once

#include <string>

#include "descriptor.h"

namespace edgetune {

// A folder of this process in $TMPDIR or /tmp, deleted at the end. What earlier agents left behind, ended by kill -9, is
// deleted at the beginning: each holds a lock on its own as long as it lives.
class ScratchFolder {
 public:
  // Throws Error where none can be made.
  ScratchFolder();
  ~ScratchFolder();

  // Make an empty folder in it; returns its path. Throws Error.
  std::string make(const std::string& name) const;

 private:
  std::string path_;
  Descriptor lock_;
};

// Delete a folder with all that is in it, as far as it can be deleted; links are not followed.
void delete_folder(const std::string& path);

}  // namespace edgetune
