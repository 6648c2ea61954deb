"""How a package lies on disk: its manifest and its archive. `compiler.package` is the door to both."""
