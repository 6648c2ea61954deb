"""How a kernel is laid out on hardware: `cpu/`, one file per kind of kernel."""
