"""Read, dissect, filter, count and summarize any bytes as a file of packets: `make fuzz`.

Atheris searches for bytes that reach new code of the readers. A run fails if anything raises or takes ten
seconds, or if the process grows; if a reader's result depends on the pieces in which the bytes come; or if
the numbers of the summary do not add up. The bytes are kept in `.fuzz/`, and `--again` plays them again.
"""

import argparse
import gzip
import io
import os
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

from edgecap.errors import InvalidRequest

with atheris.instrument_imports(include=["edgecap.packets"]):
    from edgecap.files.unzstd import zstd
    from edgecap.packets.flow_table import FlowTable
    from edgecap.packets.headers import dissect
    from edgecap.packets.inspect import Inspector
    from edgecap.packets.packet_filter import PacketFilter
    from edgecap.packets.reader import PacketReader
    from edgecap.packets.summarize import summarize
    from edgecap.packets.writer import Form, PacketWriter

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "packets"
KEPT = ROOT / ".fuzz"
MEMORY = 700  # megabytes; instrumented code needs more than usual
SLOW = 10  # seconds for one input
LONGEST = 20_000  # bytes of an input
SIZES = (1, 3, 16, 29, 100, 1_000, 1 << 20, 1 << 22)
EXPRESSIONS = ("", "udp port 53", "not tcp", "len > 100")


def judge(data: bytes) -> None:
    """Do everything with these bytes; the first byte chooses how."""
    if not data:
        return
    how, file = data[0], data[1:]
    size, expression = SIZES[how & 7], EXPRESSIONS[how >> 3 & 3]
    records = []
    tally = FlowTable(lambda flows: records.append(int(flows["packets"].sum())), room=2 if how & 32 else 64)
    reader = PacketReader(io.BytesIO(file), read_size=size)
    sieve = PacketFilter(expression, "the input") if expression else None
    kept = 0
    with tempfile.TemporaryFile() as target:
        writer = PacketWriter(target.fileno(), Form.PCAP if how & 64 else Form.PCAPNG)
        writer.begin()
        for batch in reader:
            assert len(dissect(batch, reader.interfaces)) == len(batch.rows)
            chosen = batch
            if sieve:
                with suppress(InvalidRequest):  # libpcap has no filters for this link type
                    chosen = sieve.keep(batch, reader.interfaces)
            tally.feed(chosen, reader.interfaces)
            kept += len(chosen.rows)
            writer.append(chosen)
        assert writer.packets == kept
    tally.finish()
    found = reader.inspection()
    inspector = Inspector()
    inspector.feed(file)
    assert inspector.finish() == found, "other pieces, other findings"
    assert tally.packets == kept <= found.packets
    assert sieve or kept == found.packets
    summary = summarize(tally)
    assert summary.packets == kept
    assert sum(summary.timeline.packets) == kept - int(tally.counts["untimed"])
    assert sum(records) == sum(each.packets for each in summary.versions if each.name in ("ipv4", "ipv6"))
    summary.model_dump_json()


def seeds() -> list[bytes]:
    """Real captures, whole and damaged in the usual ways."""
    real = [path.read_bytes()[: LONGEST // 2] for path in sorted(DATA.rglob("*.pcap*"))]
    few = [each[:600] for each in real]
    absurd = real[0][:24] + struct.pack("<IIII", 1, 1, 0xFFFF_FFFF, 1)
    backwards = real[0][:24] + b"".join(struct.pack("<IIII", 1 << 31 >> at, 0, 0, 60) for at in range(31))
    packed = [pack(each) for each in few for pack in (gzip.compress, zstd.compress)]
    odd = [b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"<html>", absurd, backwards, packed[0] + packed[0][:50]]
    return [bytes([how]) + each for each in (*real, *few, *packed, *odd) for how in (6, 0x2A)]


def main() -> None:
    """Search for `--seconds`, or judge one file again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", type=Path)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.again:
        judge(options.again.read_bytes())
    elif options.corpus:
        search(options)
    else:
        KEPT.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="edgecap-fuzz-") as corpus:
            for number, each in enumerate(seeds()):
                (Path(corpus) / str(number)).write_bytes(each)
            # The search ends its process, so nothing could be cleaned up in it.
            command = [sys.executable, "-m", "tests.fuzz.packets", *sys.argv[1:], "--corpus", corpus]
            raise SystemExit(subprocess.run(command, cwd=ROOT, check=False).returncode)


def search(options: argparse.Namespace) -> None:
    """Let Atheris search; this does not return."""
    flags = {
        "max_total_time": options.seconds,
        "seed": options.seed,
        "rss_limit_mb": MEMORY,
        "timeout": SLOW,
        "max_len": LONGEST,
        "artifact_prefix": f"{KEPT}{os.sep}",
        "print_final_stats": 1,
    }
    atheris.Setup(
        ["packets", *(f"-{name}={value}" for name, value in flags.items()), str(options.corpus)], judge
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
