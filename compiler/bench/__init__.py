"""Measuring: `run` is the door; `protocol` how latency is taken, `verify` whether outputs are right."""
