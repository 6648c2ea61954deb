"""What was not taken of a log, line by line."""

from __future__ import annotations

from compiler.records.exchange.report import ImportReport
from compiler.report import format as fmt
from compiler.report.output import Output

_SHOWN = 20


def warn_of(output: Output, report: ImportReport) -> None:
    """Warns of the lines that an import skipped, a few by name, and passes its notes on."""
    for skipped in report.skipped[:_SHOWN]:
        output.warn(f"{skipped.file}:{skipped.line}: skipped: {skipped.reason}")
    if report.skipped_count > _SHOWN:
        output.warn(f"{fmt.count(report.skipped_count - _SHOWN, 'more line')} skipped")
    for note in report.notes:
        output.warn(note)
