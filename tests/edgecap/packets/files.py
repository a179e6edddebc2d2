"""Files of packets for these tests: made by hand, and real ones."""

import io
import struct
import subprocess
from pathlib import Path

from hypothesis import strategies as st

from edgecap.packets.reader import PacketReader

DATA = Path(__file__).parents[2] / "data" / "packets"
REAL = sorted(path for path in DATA.iterdir() if path.suffix in {".pcap", ".pcapng"})
SECOND = 1_000_000_000

# A packet: time in ns, bytes kept, bytes on the wire.
packets_strategy = st.lists(
    st.tuples(
        st.integers(0, (1 << 32) * SECOND - 1),
        st.binary(max_size=90),
        st.integers(90, 0xFFFF_FFFF),
    ),
    max_size=8,
)


def pcap(packets, *, order="<", nano=False, link_type=1, snaplen=262_144) -> bytes:
    out = bytearray()
    out += struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snaplen, link_type)
    for time, data, original in packets:
        fraction = time % SECOND // (1 if nano else 1000)
        out += struct.pack(order + "IIII", time // SECOND, fraction, len(data), original) + data
    return bytes(out)


def block(kind: int, body: bytes, *, order="<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order="<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order=order)


def interface(*, order="<", resolution=None, offset=None, link_type=1, snaplen=0, name=b"") -> bytes:
    options = b""
    if name:
        options += struct.pack(order + "HH", 2, len(name)) + name + bytes(-len(name) % 4)
    if resolution is not None:
        options += struct.pack(order + "HHBxxx", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(order + "HHq", 14, 8, offset)
    return block(1, struct.pack(order + "HHI", link_type, 0, snaplen) + options, order=order)


def enhanced(stamp: int, data: bytes, original: int, *, order="<", number=0) -> bytes:
    head = struct.pack(order + "IIIII", number, stamp >> 32, stamp & 0xFFFF_FFFF, len(data), original)
    return block(6, head + data, order=order)


def pcapng(packets, *, order="<", resolution=9, link_type=1, name=b"") -> bytes:
    out = section(order) + interface(order=order, resolution=resolution, link_type=link_type, name=name)
    for time, data, original in packets:
        out += enhanced(time * 10**resolution // SECOND, data, original, order=order)
    return out


class Dripping(io.BytesIO):
    """A stream that never gives more than a few bytes at a time, as a socket may."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size=-1):
        return super().read(self._most if size < 0 else min(size, self._most))


def packets_of(reader: PacketReader):
    """Every packet of a reader: time, bytes kept, bytes on the wire, link type."""
    out = []
    for batch in reader:
        for number, row in enumerate(batch.rows.tolist()):
            time, _, captured, wire, place = row
            data = batch.packet(number)
            assert len(data) == captured
            out.append((time, data, wire, reader.interfaces[place].link_type))
    return out


def read(data: bytes, most: int = 1 << 30):
    """Packets and inspection of a file with these bytes."""
    reader = PacketReader(Dripping(data, most))
    return packets_of(reader), reader.inspection()


def tshark(path: Path, *fields: str, options: tuple[str, ...] = ()) -> list[list[str]]:
    """What tshark reads of each packet, without putting fragments together."""
    run = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;"]
        + ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", *options]
        + [argument for field in fields for argument in ("-e", field)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split("\t") for line in run.stdout.splitlines()]
