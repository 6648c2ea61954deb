"""CPUs that schedules are made for in tests, whatever this machine is."""

from __future__ import annotations

from targets import Hardware

KB = 1024
AVX2 = Hardware(cores=4, vector_bits=256, vector_registers=16, l1d_bytes=32 * KB, l2_bytes=256 * KB, l3_bytes=8192 * KB)
AVX512 = Hardware(
    cores=8, vector_bits=512, vector_registers=32, l1d_bytes=32 * KB, l2_bytes=1024 * KB, l3_bytes=16384 * KB
)
NEON = Hardware(
    cores=4,
    vector_bits=128,
    vector_registers=32,
    memory_operands=False,
    l1d_bytes=64 * KB,
    l2_bytes=512 * KB,
    l3_bytes=None,
)
ALL = {"avx2": AVX2, "avx512": AVX512, "neon": NEON}
