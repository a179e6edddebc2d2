"""The target in an alert's title, for products that send no better field."""

from __future__ import annotations

from edgecap.alerts.sources import values


def target_in(title: str, notes: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The targets and the local targets in a title: its one address, if it names exactly one.

    Args:
        title: one line.
        notes: a note goes there if an address was read.
    """
    found = values.address_in(title)
    if found is None:
        return (), ()
    if kind := values.kind_of_local(found):
        notes.append(f"the title names {found}, a {kind} address")
        return (), (found,)
    notes.append(f"the target {found} was read from the title")
    return (found,), ()
