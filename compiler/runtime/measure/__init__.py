"""Measuring a candidate, at the desk or on a board: nothing here needs the compiler part of TVM."""
