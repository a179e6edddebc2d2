"""Traffic named in a word, as on the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from edgecap.errors import ConfigError
from edgecap.simulator.traffic.base import Traffic
from edgecap.simulator.traffic.live import LiveTraffic
from edgecap.simulator.traffic.replay import ReplayTraffic
from edgecap.simulator.traffic.synthetic import SyntheticTraffic


def open_traffic(spec: str, *, seed: int = 1, clock: Callable[[], datetime] | None = None) -> Traffic:
    """The traffic that `spec` names.

    Its forms::

        synthetic                   made up, from the seed
        replay:office.pcap,b.pcapng recorded, looped for ever
        live:lo                     real, of an interface of this machine

    Args:
        spec: one of these.
        seed: for `synthetic`.
        clock: for `live`: the simulator's clock if it does not run as this machine's does.

    Raises:
        ConfigError: it names nothing, or what it names cannot be opened.
    """
    kind, _, rest = spec.partition(":")
    if kind == "synthetic" and not rest:
        return SyntheticTraffic(seed)
    if kind == "replay" and rest:
        return ReplayTraffic([Path(name) for name in rest.split(",") if name])
    if kind == "live" and rest:
        return LiveTraffic(rest, clock=clock)
    raise ConfigError(
        f"{spec!r} names no traffic", todo="give synthetic, replay:FILE[,FILE] or live:INTERFACE"
    )
