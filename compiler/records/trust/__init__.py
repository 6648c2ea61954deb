"""Trust: an imported record is data, looked at in a process with limits before anything is built from it.

`examine` is what that process does, `admission` decides what has to go there, `verdicts` keeps what came of it,
`verify` builds and runs a kernel beside the plainly scheduled one, `remeasure` puts claimed times to the test, and
`bundle` signs folders of logs. Nothing in this room imports TVM when it is imported.
"""

from __future__ import annotations
