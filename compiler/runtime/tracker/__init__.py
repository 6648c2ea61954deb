"""TVM's tracker, made to survive strangers: `edgetune tracker`."""
