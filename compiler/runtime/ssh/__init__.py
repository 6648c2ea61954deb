"""The way in by SSH: a board's agent started, reached and ended over one connection; files copied and checked there."""
