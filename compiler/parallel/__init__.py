"""Running a kernel's loops on several threads: `pool.c`, which every package's library holds, and our side of it."""
