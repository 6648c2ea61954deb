"""A process that checks lines for another one: `python -m compiler.records.exchange.checker FD`."""

from __future__ import annotations

import gc
import signal
import sys
from multiprocessing.connection import Connection

from compiler.records.exchange.chunks import check_lines


def main() -> None:
    """Answers lists of lines with what they are, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    gc.set_threshold(100_000)  # rows are no cycles, and a chunk of them would be looked through dozens of times
    connection = Connection(int(sys.argv[1]))
    while True:
        try:
            connection.send(check_lines(*connection.recv()))
        except (EOFError, OSError):
            return


if __name__ == "__main__":
    main()
