"""The API's response headers: its clock, its rate limits, and when to retry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_POLICY = re.compile(r'\s*"?([^";,]*)"?\s*((?:;\s*[a-z]+\s*=\s*\d+\s*)*)', re.IGNORECASE)
_PARAMETER = re.compile(r"([a-z]+)\s*=\s*(\d+)", re.IGNORECASE)
_LONGEST = timedelta(days=365)  # a longer delay is nonsense, and dates may overflow


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The state of the API's general rate limit, from the last answer.

    Attributes:
        name: the policy's name, such as `default`.
        remaining: requests left.
        resets_in: seconds until there are more, from that answer on; None if not stated.
        quota: requests per window; None if not stated.
        window: the window's length in seconds; None if not stated.
    """

    name: str
    remaining: int
    resets_in: int | None = None
    quota: int | None = None
    window: int | None = None

    def __str__(self) -> str:
        """Such as `50 of 100 requests left, reset in 30 s`."""
        of = f" of {self.quota}" if self.quota is not None else ""
        reset = f", reset in {self.resets_in} s" if self.resets_in is not None else ""
        return f"{self.remaining}{of} requests left{reset}"


def server_date(headers: Mapping[str, str]) -> datetime | None:
    """The `Date` of an answer, aware, UTC; None if it is missing or unreadable."""
    return _http_date(headers.get("date", ""))


def rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """The tightest limit of `Ratelimit: "default";r=50;t=30` and `Ratelimit-Policy: "default";q=100;w=60`."""
    policies = _policies(headers.get("ratelimit-policy", ""))
    limits = []
    for name, numbers in _policies(headers.get("ratelimit", "")).items():
        if "r" in numbers:
            policy = policies.get(name, next(iter(policies.values())) if len(policies) == 1 else {})
            limits.append(
                RateLimit(name, numbers["r"], numbers.get("t"), policy.get("q"), policy.get("w")),
            )
    return min(limits, key=lambda limit: limit.remaining, default=None)


def retry_delay(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """The delay that `retry-after` asks for, never negative; None if it is missing or unreadable.

    Args:
        headers: of the answer.
        now: the server's time, to compare an HTTP date with.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        moment = _http_date(text)
        if moment is None:
            return None
        return _bounded((moment - now).total_seconds())
    return _bounded(seconds)


def _bounded(seconds: float) -> timedelta | None:
    if seconds != seconds:  # noqa: PLR0124 - not a number
        return None
    return timedelta(seconds=min(max(seconds, 0.0), _LONGEST.total_seconds()))


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _policies(text: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for item in text.split(","):
        match = _POLICY.fullmatch(item)
        if match and match[2]:
            found[match[1].strip()] = {
                name.lower(): int(number[:18]) for name, number in _PARAMETER.findall(match[2])
            }
    return found
