"""Load as MLPerf defines it, generated and judged by MLCommons' own LoadGen."""
