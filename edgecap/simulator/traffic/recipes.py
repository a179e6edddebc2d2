"""Shapes of flows, each known before a flow is made: its packets, their times, sizes and addresses.

A flow of a shape differs from another in its outside address, client port and numbers only. So packets can be
counted, sampled and dropped without being made.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np

from edgecap.simulator.traffic.attacks import Attack, shot
from edgecap.simulator.traffic.conversations import Scene
from edgecap.simulator.traffic.dissect import headers
from edgecap.simulator.traffic.marks import Dice, named
from edgecap.simulator.traffic.mitigation import BLOCKED_PORTS
from edgecap.simulator.traffic.payloads import Payloads
from edgecap.simulator.traffic.synthetic import add_flow
from edgecap.simulator.traffic.times import MICROSECOND

Frames = list[tuple[int, bytes]]
"""Nanoseconds from a flow's begin, and the frame."""
_MACS = bytes(12)
_ORDINARY, _OF_ATTACKS = 512, 16
_BETWEEN_FRAGMENTS = 12 * MICROSECOND
_LINK = 14  # bytes of the Ethernet header, which Cloudflare's counts leave out
_TCP = 6


class Recipes:
    """The shapes of one source of packets. The arrays have one element for each packet of each shape.

    Args:
        seed: of the shapes.
        count: of the shapes; a power of two.
        make: makes a flow from a source of its shape, a source of its identity, and the MAC addresses.

    Attributes:
        count: of the shapes.
        first: by shape, the position of its first packet in the arrays below.
        packets: by shape, its number of packets.
        mean: the mean number of packets.
        longest: the largest number of packets.
        later: nanoseconds from the flow's begin.
        bits: of the IP packet.
        target: position of the destination in `targets`.
        protocol: number of the IP protocol.
        blocked: whether the customer's firewall always drops it.
        targets: the destination addresses, packed.
    """

    def __init__(self, seed: int, count: int, make: Callable[[Random, Random, bytes], Frames]) -> None:
        self._seed = int(named(f"shapes/{seed}"))
        self._make = make
        self.count = count
        dice = Dice(), Dice()
        flows = [self.frames(number, 0, _MACS, dice) for number in range(count)]
        self.packets = np.array([len(flow) for flow in flows])
        self.first = np.concatenate(([0], np.cumsum(self.packets)[:-1]))
        self.mean = float(self.packets.mean())
        self.longest = int(self.packets.max())
        every = [pair for flow in flows for pair in flow]
        found = [headers(frame) for _, frame in every]
        self.later = np.array([later for later, _ in every], np.int64)
        self.bits = np.array([(len(frame) - _LINK) * 8 for _, frame in every], np.int64)
        addresses = [each.destination if each else b"" for each in found]
        self.targets = tuple(dict.fromkeys(addresses))
        place = {target: position for position, target in enumerate(self.targets)}
        self.target = np.array([place[target] for target in addresses])
        self.protocol = np.array([each.protocol if each else 0 for each in found])
        self.blocked = np.array(
            [
                bool(each and each.protocol == _TCP and each.destination_port in BLOCKED_PORTS)
                for each in found
            ]
        )

    def __repr__(self) -> str:
        return f"<Recipes [{self.count} shapes, {len(self.later)} packets]>"

    def frames(self, number: int, identity: int, macs: bytes, dice: tuple[Dice, Dice]) -> Frames:
        """The packets of a flow, in the order of the arrays.

        Args:
            number: of its shape.
            identity: its mark.
            macs: destination and source MAC, 12 bytes.
            dice: two of the caller's own, which no other thread uses.
        """
        shape, who = dice
        return self._make(shape.restart(self._seed + number), who.restart(identity), macs)


def ordinary(seed: int, payloads: Payloads) -> Recipes:
    """Shapes of a customer's ordinary traffic."""

    def make(shape: Random, identity: Random, macs: bytes) -> Frames:
        scene = Scene(shape, payloads, 0, macs, identity=identity, at=0)
        add_flow(scene)
        return scene.out

    return Recipes(seed, _ORDINARY, make)


def of_attack(seed: int, payloads: Payloads, attack: Attack) -> Recipes:
    """Shapes of an attack's packets: one packet each, or the fragments of one."""

    def make(shape: Random, identity: Random, macs: bytes) -> Frames:
        frames = shot(attack, shape, identity, payloads, macs)
        return [(number * _BETWEEN_FRAGMENTS, frame) for number, frame in enumerate(frames)]

    return Recipes(seed, _OF_ATTACKS, make)
