"""What the archive tells of places: where an account's full captures had packets, and where they had few.

Reading is bounded: the newest `READ_MOST` full captures of `REACH`. What was read counts when time is up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from threading import Event

from pydantic import ValidationError

from edgecap.analytics.choice import Choice
from edgecap.analytics.places import Share
from edgecap.archive.entries import Entry, list_entries
from edgecap.archive.manifest import LIMIT_REACHED, PARTIAL, STOPPED, Manifest
from edgecap.archive.targets import targets as targets_of
from edgecap.errors import EdgecapError
from edgecap.stores.base import Store

REACH = timedelta(days=30)
READ_MOST = 20  # manifests
DISAPPOINTED_FOR = timedelta(hours=1)
LEAST_PER_SECOND = 1.0  # packets: fewer are no attack
LEAST_OF_EXPECTED = 0.05  # a capture with less of what was expected was at the wrong place


class _Enough(Exception):
    """Nothing more is to be read."""


class PastCaptures:
    """The places of an account's full captures, as far as they were read. Filled by `read`, in any thread.

    Args:
        store: the archive.
        account: name of the account in the settings.
        targets: addresses and networks that a choice is for.
        now: the time, aware.
    """

    def __init__(self, store: Store, account: str, targets: Sequence[str], *, now: datetime) -> None:
        self._store, self._account, self._now = store, account, now
        self._targets = [ip_network(each, strict=False) for each in targets]
        self._packets: dict[str, float] = defaultdict(float)
        self._few: dict[str, bool] = {}
        self._read, self._stopped = 0, Event()

    def __repr__(self) -> str:
        return f"<PastCaptures of {self._account} [{self._read} read, {len(self._packets)} places]>"

    def read_the_hour(self) -> None:
        """Read the captures of the last hour. What cannot be read is passed over."""
        self._read_entries(self._now - DISAPPOINTED_FOR, None)

    def read_the_rest(self) -> None:
        """Read those before it, as far as `REACH`."""
        self._read_entries(self._now - REACH, self._now - DISAPPOINTED_FOR)

    def stop(self) -> None:
        """Let a reading end with the entry that it is at."""
        self._stopped.set()

    @property
    def usual(self) -> tuple[Share, ...]:
        """Packets of the account's captures that had some, by place; most first."""
        found = sorted(self._packets.copy().items(), key=lambda item: (-item[1], item[0]))
        return tuple(Share(colo, packets, 0) for colo, packets in found)

    @property
    def disappointed(self) -> frozenset[str]:
        """Places where the newest capture of the target in the last hour had few packets."""
        return frozenset(colo for colo, few in self._few.copy().items() if few)

    def _read_entries(self, since: datetime, until: datetime | None) -> None:
        with suppress(_Enough, EdgecapError):
            for entry in list_entries(
                self._store, since=since, until=until, type="full", wanted=self._is_of_the_account
            ):
                self._count(entry.manifest, is_recent=until is None)

    def _is_of_the_account(self, entry: Entry) -> bool:
        self._read += 1
        if self._stopped.is_set() or self._read > READ_MOST:
            raise _Enough
        return entry.manifest.account in ("", self._account)

    def _count(self, manifest: Manifest, *, is_recent: bool) -> None:
        few = has_few_packets(manifest)
        if is_recent and self._is_about_the_targets(manifest):
            self._few.setdefault(manifest.colo, few)  # newest first
        if manifest.kept_packets and not few:
            self._packets[manifest.colo] += manifest.kept_packets

    def _is_about_the_targets(self, manifest: Manifest) -> bool:
        return any(_overlap(each, mine) for each in targets_of(manifest) for mine in self._targets)


def has_few_packets(manifest: Manifest) -> bool:
    """Whether a full capture's packets are so few that it was at the wrong place.

    Few are less than one a second, and less than a twentieth of what Network Analytics let expect. A capture
    that was stopped, reached its limit or lacks files tells nothing.
    """
    if {LIMIT_REACHED, STOPPED, PARTIAL} & set(manifest.flags):
        return False
    wanted = manifest.request or manifest.capture
    seconds = _number(wanted, "time_limit") or 0.0
    expected = LEAST_PER_SECOND * seconds
    choice = choice_of(manifest.intent)
    if choice and (rate := choice.expected(manifest.colo)):
        most = _number(wanted, "packet_limit") or float("inf")
        expected = max(expected, LEAST_OF_EXPECTED * min(rate * seconds, most))
    return manifest.kept_packets < expected


def choice_of(intent: Mapping[str, object] | None) -> Choice | None:
    """How the place of a capture was chosen, by its manifest's intent; None if it was named."""
    with suppress(ValidationError):
        return Choice.model_validate((intent or {})["choice"]) if (intent or {}).get("choice") else None
    return None


def _number(fields: Mapping[str, object], name: str) -> float | None:
    value = fields.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    return isinstance(one, IPv6Network) and isinstance(other, IPv6Network) and one.overlaps(other)
