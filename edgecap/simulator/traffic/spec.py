"""Traffic by name, as on the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast, get_args

from edgecap.errors import ConfigError, InvalidRequest
from edgecap.simulator.traffic.attacks import Attack, Kind
from edgecap.simulator.traffic.base import Traffic
from edgecap.simulator.traffic.counted import CountedTraffic
from edgecap.simulator.traffic.live import LiveTraffic
from edgecap.simulator.traffic.replay import ReplayTraffic
from edgecap.simulator.traffic.synthetic import RATE, SyntheticTraffic

_FIELDS: dict[str, Callable[[str], Any]] = {
    "target": str,
    "port": int,
    "rate": float,
    "id": str,
    "places": int,
    "dropped": float,
}


def open_traffic(
    spec: str,
    *,
    seed: int = 1,
    rate: float = RATE,
    clock: Callable[[], datetime] | None = None,
    spread: bool = False,
    mitigate: bool = False,
) -> Traffic:
    """Open the traffic that `spec` names.

    Its forms::

        synthetic                   synthetic, from the seed, with an attack every five minutes
        synthetic:syn_flood,2026-11-23T06:31:00Z,90
                                    with this one attack instead: its kind, start and seconds
        synthetic:syn_flood,2026-11-23T06:31:00Z,90,target=203.0.113.9,places=4;ntp_amplification,...
                                    with several, and with more fields of `Attack`
        replay:office.pcap,b.pcapng recorded, looped for ever
        live:lo                     live, from an interface of this machine

    Args:
        spec: one of these.
        seed: for `synthetic`.
        rate: for `synthetic`: ordinary packets a second at each server of the busy city.
        clock: for `live`: the simulator's clock if it differs from this machine's.
        spread: for `synthetic`: whether packets arrive at all cities, by a Zipf share.
        mitigate: for `synthetic`: whether the edge drops packets.

    Raises:
        ConfigError: the form is unknown, or the traffic cannot be opened.
    """
    kind, _, rest = spec.partition(":")
    if kind == "synthetic":
        attacks = [_attack(text) for text in rest.split(";")] if rest else None
        if spread or mitigate:
            return CountedTraffic(seed, rate=rate, attacks=attacks, spread=spread, mitigate=mitigate)
        return SyntheticTraffic(seed, rate=rate, attacks=attacks)
    if spread or mitigate:
        raise ConfigError(
            "only synthetic traffic can be spread or mitigated", where=spec, hint="leave out the option"
        )
    if kind == "replay" and rest:
        return ReplayTraffic([Path(name) for name in rest.split(",") if name])
    if kind == "live" and rest:
        return LiveTraffic(rest, clock=clock)
    raise ConfigError(
        f"unknown traffic {spec!r}", hint="give synthetic, replay:FILE[,FILE] or live:INTERFACE"
    )


def _attack(text: str) -> Attack:
    """Parse an attack from `kind,start,seconds` and further fields as `name=value`."""
    try:
        kind, start, seconds, *more = text.split(",")
        fields = dict(part.split("=") for part in more)
        if kind in get_args(Kind):
            return Attack(
                cast("Kind", kind),
                datetime.fromisoformat(start),
                timedelta(seconds=float(seconds)),
                **{name: _FIELDS[name](value) for name, value in fields.items()},
            )
    except (ValueError, KeyError, OverflowError, InvalidRequest):
        pass
    raise ConfigError(
        f"{text!r} is not an attack",
        hint=f"give KIND,START,SECONDS, such as syn_flood,2026-11-23T06:31:00Z,90; "
        f"kinds are {', '.join(get_args(Kind))}; more fields are NAME=VALUE: {', '.join(_FIELDS)}",
    )
