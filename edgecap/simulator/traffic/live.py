"""Live packets of a network interface of this machine."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from operator import attrgetter
from types import TracebackType
from typing import Self

from edgecap.errors import ConfigError
from edgecap.simulator.traffic import colos
from edgecap.simulator.traffic.base import Packet
from edgecap.simulator.traffic.dissect import ETHERNET, flow_number
from edgecap.simulator.traffic.times import SECOND, nanoseconds

_ALL_PROTOCOLS = 0x0003
_ETHERNET_HARDWARE, _LOOPBACK = 1, 772  # ARPHRD_ETHER, ARPHRD_LOOPBACK
_TIMESTAMP_NS = 35  # Linux's SO_TIMESTAMPNS and SCM_TIMESTAMPNS, which Python does not define
_SOL_PACKET, _AUXDATA = 263, 8
_VLAN_VALID, _VLAN_TYPE_VALID = 0x10, 0x40
_TIMESPEC = struct.Struct("@qq")
_AUX = struct.Struct("@IIIHHHH")
_LONGEST_FRAME = 262_144
_SOCKET_BUFFER = 128 << 20  # bytes: enough for a burst of large frames
_RCVBUF_FORCE = 33  # SO_RCVBUFFORCE, which the socket module does not define
_UNDER_WAY = 0.05  # maximum seconds from a packet's time stamp to the socket
_MOST_DRAINS = 50  # of _AT_ONCE packets each: a busy interface must not block a look-back for ever
_AT_ONCE = 5_000  # packets read before others get the lock
_WAKE = 0.2  # seconds after which an idle reader checks whether to stop
_TIME = attrgetter("time_ns")


class LiveTraffic:
    """Packets of an interface, with a limited history so that captures can look back.

    A thread reads a raw packet socket; the kernel stamps each packet. On loopback, each packet crosses twice,
    out and in: only the inbound one is used. Packets are spread over the servers of one city by flow, both
    directions to the same server. A window is complete once it has passed; one that reaches into the future
    has the packets so far. The simulator's own HTTP traffic crosses `lo`, too, and is seen there.

    Args:
        interface: its name, such as `lo` or `eth0`; it must be like Ethernet.
        history_seconds: how long packets are remembered.
        history_packets: maximum remembered packets.
        history_bytes: maximum remembered bytes of frames.
        clock: the simulator's clock, aware. If given, it stamps packets when they are read, as a faster clock
            requires. None: the kernel's own time stamps.
        city: the city whose servers receive the packets.
        opened: a socket from `open_interface`, which another process with that right may have opened; closed
            here. By default one is opened here.

    Raises:
        ConfigError: the interface or city does not exist, the interface is not like Ethernet, or this process
            lacks CAP_NET_RAW.
    """

    link_type = ETHERNET

    def __init__(
        self,
        interface: str,
        *,
        history_seconds: float = 300,
        history_packets: int = 200_000,
        history_bytes: int = 256 << 20,
        clock: Callable[[], datetime] | None = None,
        city: str = "ORD",
        opened: socket.socket | None = None,
    ) -> None:
        self._interface = interface
        self._keep = (int(history_seconds * SECOND), history_packets, history_bytes)
        self._clock = clock
        self._servers = colos.servers(city)
        if not self._servers:
            raise ConfigError(f"unknown data centre {city!r}", hint=f"give one of {', '.join(colos.CITIES)}")
        self._history: deque[Packet] = deque()
        self._size = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._socket = opened or open_interface(interface)
        self._socket.setblocking(False)
        self._loopback = self._socket.getsockname()[3] == _LOOPBACK
        self._thread = threading.Thread(target=self._read, name=f"live-{interface}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        state = "closed" if self._ended.is_set() else f"{len(self._history)} packets, {self._size} bytes"
        return f"<LiveTraffic {self._interface} [{state}]>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def servers(self, colo: str) -> list[str]:
        """The physical servers of a data centre (`ord02`) or a city (`ORD`); empty if unknown."""
        return colos.servers(colo)

    def packets(self, start: datetime, end: datetime, *, colo: str | None = None) -> Iterator[Packet]:
        """Remembered packets with `start <= time < end`, in order of time, at `colo` or everywhere.

        Raises:
            InvalidRequest: a time has no time zone.
        """
        begin, finish = nanoseconds(start), nanoseconds(end)
        here = set(colos.servers(colo))
        if self._clock is None:
            # The kernel stamps a packet before it delivers it: the latest may still be on its way.
            time.sleep(min(_UNDER_WAY, max(0.0, (finish - time.time_ns()) / SECOND + _UNDER_WAY)))
        with self._lock:
            # Also read packets that the kernel has, but the thread has not read yet.
            for _ in range(_MOST_DRAINS):
                if not self._drain():
                    break
            known = list(self._history)
        # Two processors may deliver packets slightly out of order.
        known.sort(key=_TIME)
        chosen = known[bisect_left(known, begin, key=_TIME) : bisect_left(known, finish, key=_TIME)]
        return (packet for packet in chosen if packet.server in here)

    def close(self) -> None:
        """Stop the thread, close the socket, forget the packets."""
        self._ended.set()
        self._thread.join()
        with self._lock:
            self._socket.close()
            self._history.clear()
            self._size = 0

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while not self._ended.is_set():
            if poll.poll(_WAKE * 1000):
                with self._lock:
                    self._drain()

    def _drain(self) -> bool:
        """Read the kernel's packets; returns whether there may be more. The caller holds the lock."""
        more = True
        if self._ended.is_set():
            return False
        for _ in range(_AT_ONCE):
            try:
                data, extra, _, where = self._socket.recvmsg(_LONGEST_FRAME, 256)
            except OSError:
                # No more packets; or the interface went down: keep its packets, more may come.
                more = False
                break
            if not (self._loopback and where[2] == socket.PACKET_OUTGOING):
                self._remember(data, extra)
        self._forget()
        return more

    def _remember(self, data: bytes, extra: list[tuple[int, int, bytes]]) -> None:
        time_ns = 0
        for level, kind, value in extra:
            if level == socket.SOL_SOCKET and kind == _TIMESTAMP_NS:
                seconds, rest = _TIMESPEC.unpack(value[: _TIMESPEC.size])
                time_ns = seconds * SECOND + rest
            elif level == _SOL_PACKET and kind == _AUXDATA:
                data = _with_vlan(data, value)
        if self._clock is not None:
            time_ns = nanoseconds(self._clock())
        server = self._servers[flow_number(data) % len(self._servers)]
        self._history.append(Packet(time_ns, data, server))
        self._size += len(data)

    def _forget(self) -> None:
        if not self._history:
            return
        nanos, packets, size = self._keep
        oldest = self._history[-1].time_ns - nanos
        while self._history and (
            len(self._history) > packets or self._size > size or self._history[0].time_ns < oldest
        ):
            self._size -= len(self._history.popleft().data)


def open_interface(interface: str) -> socket.socket:
    """A raw packet socket for all packets of an interface, stamped by the kernel.

    Raises:
        ConfigError: the interface does not exist, is not like Ethernet, or this process lacks CAP_NET_RAW.
    """
    try:
        # Without a protocol, nothing is received before the socket is bound to the interface.
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise ConfigError(
            "capturing live packets needs the right CAP_NET_RAW",
            where=interface,
            hint="run as root, or choose synthetic or replayed traffic",
        ) from None
    except (OSError, AttributeError) as error:
        raise ConfigError(f"this system has no raw packet sockets: {error}", where=interface) from None
    try:
        raw.setsockopt(socket.SOL_SOCKET, _TIMESTAMP_NS, 1)
        raw.setsockopt(_SOL_PACKET, _AUXDATA, 1)
        try:
            raw.setsockopt(socket.SOL_SOCKET, _RCVBUF_FORCE, _SOCKET_BUFFER)
        except OSError:  # exceeding the system's limit requires CAP_NET_ADMIN
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
        raw.bind((interface, _ALL_PROTOCOLS))
    except OSError as error:
        raw.close()
        raise ConfigError(
            f"the interface {interface!r} cannot be captured from: {error.strerror or error}",
            hint=f"give one of {', '.join(name for _, name in socket.if_nameindex())}",
        ) from None
    if raw.getsockname()[3] not in (_ETHERNET_HARDWARE, _LOOPBACK):
        raw.close()
        raise ConfigError(f"the interface {interface!r} is not like Ethernet", hint="give another one")
    return raw


def _with_vlan(data: bytes, auxiliary: bytes) -> bytes:
    """The frame with its VLAN tag, which the kernel removes and delivers separately."""
    status, _, _, _, _, tag, kind = _AUX.unpack(auxiliary[: _AUX.size])
    if not status & _VLAN_VALID:
        return data
    kind = kind if status & _VLAN_TYPE_VALID else 0x8100
    return data[:12] + struct.pack("!HH", kind, tag) + data[12:]
