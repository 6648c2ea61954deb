"""How long a candidate may take, and how exactly it is measured."""

from __future__ import annotations

BUILD_SECONDS = 20.0
"""A candidate that takes longer to build is given up."""
MEASURE_SECONDS = 10.0
BOARD_MEASURE_SECONDS = 20.0
"""A board may be many times slower than a desk."""
BOARD_CHECK_SECONDS = 60.0
"""To compare two kernels on a board, their inputs have to be sent there."""
REPEATS = 3
REPEAT_SECONDS = 0.015
GIVE_UP = 1.4
"""A candidate whose first call is this much slower than the best one is not repeated."""
