"""What a failure still holds is let go before its line is printed."""

from __future__ import annotations

import contextlib
import sys
import traceback


def release(error: BaseException) -> None:
    """Free what is held by the functions that `error` came out of, and by those of what caused it.

    TVM warns on stderr of builders that are destroyed in the middle of their work. That is so after Ctrl-C, and after
    many a refusal; the warning would stand below the line that says what happened. Nothing of it is shown.
    """
    if "tvm" not in sys.modules:
        return
    from compiler.frontend.quiet import quiet_natively

    with contextlib.suppress(OSError), quiet_natively():
        left: list[BaseException | None] = [error]
        seen: set[int] = set()
        while left:
            one = left.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            left += [one.__cause__, one.__context__]
            traceback.clear_frames(one.__traceback__)
