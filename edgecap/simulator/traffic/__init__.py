"""The simulated edge's traffic: synthetic, replayed or live packets."""

from edgecap.simulator.traffic.attacks import Attack
from edgecap.simulator.traffic.base import Packet, Traffic
from edgecap.simulator.traffic.counted import CountedTraffic
from edgecap.simulator.traffic.live import LiveTraffic
from edgecap.simulator.traffic.pcapfile import PcapWriter
from edgecap.simulator.traffic.replay import ReplayTraffic
from edgecap.simulator.traffic.select import compile_filter, matches, sample, take
from edgecap.simulator.traffic.spec import open_traffic
from edgecap.simulator.traffic.synthetic import SyntheticTraffic

__all__ = [
    "Attack",
    "CountedTraffic",
    "LiveTraffic",
    "Packet",
    "PcapWriter",
    "ReplayTraffic",
    "SyntheticTraffic",
    "Traffic",
    "compile_filter",
    "matches",
    "open_traffic",
    "sample",
    "take",
]
