"""Traffic by name, as on the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast, get_args

from edgecap.errors import ConfigError, InvalidRequest
from edgecap.simulator.traffic.attacks import Attack, Kind
from edgecap.simulator.traffic.base import Traffic
from edgecap.simulator.traffic.live import LiveTraffic
from edgecap.simulator.traffic.replay import ReplayTraffic
from edgecap.simulator.traffic.synthetic import RATE, SyntheticTraffic


def open_traffic(
    spec: str, *, seed: int = 1, rate: float = RATE, clock: Callable[[], datetime] | None = None
) -> Traffic:
    """Open the traffic that `spec` names.

    Its forms::

        synthetic                   synthetic, from the seed, with an attack every five minutes
        synthetic:syn_flood,2026-11-23T06:31:00Z,90
                                    with this one attack instead: its kind, start and seconds
        replay:office.pcap,b.pcapng recorded, looped for ever
        live:lo                     live, from an interface of this machine

    Args:
        spec: one of these.
        seed: for `synthetic`.
        rate: for `synthetic`: ordinary packets a second at each server of the busy city.
        clock: for `live`: the simulator's clock if it differs from this machine's.

    Raises:
        ConfigError: the form is unknown, or the traffic cannot be opened.
    """
    kind, _, rest = spec.partition(":")
    if kind == "synthetic" and not rest:
        return SyntheticTraffic(seed, rate=rate)
    if kind == "synthetic":
        return SyntheticTraffic(seed, rate=rate, attacks=[_attack(rest)])
    if kind == "replay" and rest:
        return ReplayTraffic([Path(name) for name in rest.split(",") if name])
    if kind == "live" and rest:
        return LiveTraffic(rest, clock=clock)
    raise ConfigError(
        f"unknown traffic {spec!r}", hint="give synthetic, replay:FILE[,FILE] or live:INTERFACE"
    )


def _attack(text: str) -> Attack:
    """Parse an attack from `kind,start,seconds`."""
    parts = text.split(",")
    try:
        kind, start, seconds = parts
        if kind in get_args(Kind):
            return Attack(
                cast("Kind", kind), datetime.fromisoformat(start), timedelta(seconds=float(seconds))
            )
    except (ValueError, OverflowError, InvalidRequest):
        pass
    raise ConfigError(
        f"{text!r} is not an attack",
        hint=f"give KIND,START,SECONDS, such as syn_flood,2026-11-23T06:31:00Z,90; "
        f"kinds are {', '.join(get_args(Kind))}",
    )
