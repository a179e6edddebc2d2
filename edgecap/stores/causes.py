"""What a failure is at its root: the one cause in a chain of wrapped errors, or the words of who answered."""

from __future__ import annotations

import re
import socket

from edgecap.errors import StoreUnreachable
from edgecap.network.trouble import chain, trouble_of
from edgecap.redact import redact

_PAGE = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
_LONGEST = 400  # characters: a denial by policy names a user, an action and a resource


def root_cause(error: BaseException) -> str:
    """What the operating system said, such as `Connection refused`; else the error's own words, shortened."""
    for each in chain(error):
        if isinstance(each, socket.gaierror):
            return "the host's name is not known"
        if isinstance(each, OSError) and each.strerror and each.errno:
            return each.strerror
    return redact(" ".join(str(error).split()))[:200] or type(error).__name__


def on_the_way(error: BaseException, where: str) -> StoreUnreachable | None:
    """What is wrong with the proxy or the store's certificate; None if it is something else."""
    trouble = trouble_of(error)
    if trouble is None:
        return None
    found = StoreUnreachable(trouble.what, where=where, hint=trouble.hint)
    found.permanent = trouble.permanent
    return found


def sentence(text: object) -> str:
    """What a provider said, as part of one line: without secrets, line breaks and its last full stop."""
    return redact(" ".join(str(text or "").split()))[:_LONGEST].rstrip(". ")


def looks_like_page(body: bytes) -> bool:
    """Whether a body is a web page: what a captive portal or a proxy answers in a store's place."""
    return bool(_PAGE.match(body))
