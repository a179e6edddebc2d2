"""Filters against the attack of an incident, within bounds of time: people wait for its closing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgecap.archive.summaries import read_summary
from edgecap.incidents.comparison import comparison_of
from edgecap.incidents.record import IncidentEvent, Part
from edgecap.proposals.archived import Picked, opened
from edgecap.proposals.model import Proposals
from edgecap.proposals.propose import Question, propose
from edgecap.stores.base import Store
from edgecap.units import size

MOST = 1_000_000_000
"""Bytes of the attack's captures that are read, and of the baseline's; a gigabyte takes some seconds."""


def propose_for(store: Store, noted: IncidentEvent, parts: Sequence[Part]) -> Proposals | None:
    """Filters against the attack of an incident; None if no capture has packets of it.

    Args:
        store: the archive.
        noted: how the incident began.
        parts: what became of its captures.

    Raises:
        StoreError: the archive does not answer, or the disk is full.
    """
    compared = comparison_of(store, noted, parts)
    attack, large = _within(compared.attack)
    baseline, more = _within(compared.baseline)
    if not attack:
        return None
    remarks = [*compared.remarks, *(_left_out(each, noted) for each in (*large, *more))]
    with opened(store, [*attack, *baseline]) as sources:
        return propose(
            Question(
                sources[: len(attack)],
                sources[len(attack) :],
                summaries=[
                    summary for each in attack if (summary := read_summary(store, each.entry)) is not None
                ],
                remarks=remarks,
            )
        )


def _within(picked: Iterable[Picked]) -> tuple[list[Picked], list[Picked]]:
    """The captures that are read, and those for which there is no room."""
    kept: list[Picked] = []
    left: list[Picked] = []
    total = 0
    for each in picked:
        fits = total + each.size <= MOST
        (kept if fits else left).append(each)
        total += each.size if fits else 0
    return kept, left


def _left_out(picked: Picked, noted: IncidentEvent) -> str:
    return (
        f"{picked.title} is left out, it has {size(picked.size)}; "
        f"`edgecap propose {noted.incident[:8]}` reads all captures"
    )
