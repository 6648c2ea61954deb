"""Rewrites of ONNX graphs, one per file; each says what it requires and ensures."""
