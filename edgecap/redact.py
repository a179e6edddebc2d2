"""Remove secrets from everything that people or logs can see."""

from __future__ import annotations

import re

HIDDEN = "***"

# Names of secrets: in an r2:// destination, in signed URLs (also percent-encoded twice), in settings, the
# environment, JSON and HTTP headers.
_NAMES = (
    r"(?:secret[-_])?access[-_]key(?:[-_]id)?|api[-_](?:token|key)|x-auth-(?:user-service-)?key|cf-webhook-auth"
    r"|x-(?:amz|goog)-(?:[a-z-]*-)?(?:signature|credential|token)"
)
_VALUE = r"(?:(?!%26|\\u0026)[^&\s\"'])+"
_ASSIGNED = re.compile(
    rf"((?:{_NAMES})(?:[\"']?\s*=\s*|%3D|[\"']\s*:\s*)(?:b?[\"'])?){_VALUE}", re.IGNORECASE
)
_HEADER = re.compile(rf"((?:x-auth-(?:user-service-)?key|cf-webhook-auth)\s*:\s*){_VALUE}", re.IGNORECASE)
_BEARER = re.compile(r"(\bbearer\s+)[^\s\"']+", re.IGNORECASE)
_USERINFO = re.compile(r"([a-z][a-z0-9+.-]{0,31}://)[^/?#\s\"']+@", re.IGNORECASE)


def redact(text: str) -> str:
    """`text` with the values of keys, tokens and passwords replaced by `***`.

    >>> redact("r2://b?account-id=1&access-key-id=AK&secret-access-key=SK")
    'r2://b?account-id=1&access-key-id=***&secret-access-key=***'
    """
    for pattern in (_ASSIGNED, _HEADER, _BEARER):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return _USERINFO.sub(rf"\1{HIDDEN}@", text)
