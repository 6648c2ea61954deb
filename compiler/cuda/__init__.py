"""Compiling for NVIDIA GPUs, on machines without one too: NVRTC from PyPI, and what lets TVM's CUDA part load."""
