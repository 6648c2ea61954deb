"""Running packages on a device: `session` opens one, `threads` gives TVM exactly the threads that were asked for."""
