"""The one cause that matters in a chain of wrapped network errors."""

from __future__ import annotations

import socket

from edgecap.redact import redact

_DEEPEST = 12


def root_cause(error: BaseException) -> str:
    """What the operating system said, such as `Connection refused`; else the error's own words, shortened."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(seen) < _DEEPEST:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or each in seen:
            continue
        seen.append(each)
        if isinstance(each, socket.gaierror):
            return "the host's name is not known"
        if isinstance(each, OSError) and each.strerror and each.errno:
            return each.strerror
        # urllib3 and google-api-core keep what they wrap in attributes of these names, requests in `args`.
        waiting += [each.__cause__, getattr(each, "reason", None), getattr(each, "cause", None)]
        waiting += [*each.args, each.__context__]
    return redact(" ".join(str(error).split()))[:200] or type(error).__name__
