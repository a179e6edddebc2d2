"""The root cause of a failure: the underlying error in a chain, or the provider's own sentence."""

from __future__ import annotations

import re
import socket

from edgecap.errors import StoreUnreachable
from edgecap.network.errors import chain, diagnose
from edgecap.redact import redact

_PAGE = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
_LONGEST = 400  # characters: a denial by policy names a user, an action and a resource


def root_cause(error: BaseException) -> str:
    """The operating system's message, such as `Connection refused`; else the error's text, shortened."""
    for each in chain(error):
        if isinstance(each, socket.gaierror):
            return "the host name cannot be resolved"
        if isinstance(each, OSError) and each.strerror and each.errno:
            return each.strerror
    return redact(" ".join(str(error).split()))[:200] or type(error).__name__


def proxy_or_certificate(error: BaseException, where: str) -> StoreUnreachable | None:
    """The error of a proxy or of the store's certificate; None if the failure is something else."""
    diagnosis = diagnose(error)
    if diagnosis is None:
        return None
    found = StoreUnreachable(diagnosis.what, where=where, hint=diagnosis.hint)
    found.permanent = diagnosis.permanent
    return found


def sentence(text: object) -> str:
    """A provider's message as part of one line: without secrets, line breaks and its last full stop."""
    return redact(" ".join(str(text or "").split()))[:_LONGEST].rstrip(". ")


def looks_like_page(body: bytes) -> bool:
    """Whether a body is a web page, as a captive portal or a proxy sends one."""
    return bool(_PAGE.match(body))
