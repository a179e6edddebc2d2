"""Flow tables are whole or not there, and other programs read them."""

import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import arro3.io
import numpy as np
import pytest

from edgecap.errors import ObjectExists, StoreFull
from edgecap.packets.flow_file import COLUMNS, new_flow_file
from edgecap.packets.flow_table import FLOW, FlowTable
from edgecap.packets.reader import open_packets
from tests.edgecap.packets.files import REAL

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(path):
    """Columns of a table, as Python's own."""
    table = arro3.io.read_parquet(path).read_all()
    return {
        name: [value.as_py() for chunk in table[name].chunks for value in chunk]
        for name in table.column_names
    }


def random_flows(count, seed=1):
    rng = np.random.default_rng(seed)
    flows = np.frombuffer(rng.bytes(count * FLOW.itemsize), FLOW).copy()
    flows["source"][::2, :12] = list(bytes(10) + b"\xff\xff")
    for name in ("first", "last"):
        flows[name] = rng.integers(0, 1 << 62, count)
    return flows


def threads():
    return [each for each in threading.enumerate() if each.name == "flows"]


def test_every_flow_of_a_real_capture_is_in_its_table(tmp_path):
    records = []
    with new_flow_file(tmp_path / "flows.parquet") as writer, open_packets(REAL[2]) as reader:

        def both(flows):
            records.append(flows.copy())
            writer.write(flows)

        tally = FlowTable(both, room=7)
        for batch in reader:
            tally.feed(batch, reader.interfaces)
        tally.finish()
    flows = np.concatenate(records)
    found = read(tmp_path / "flows.parquet")
    assert list(found) == list(COLUMNS)
    assert len(flows) == writer.rows == len(found["packets"]) > 14
    for name in ("protocol", "source_port", "destination_port", "packets", "bytes", "tcp_flags", "tunnel"):
        assert found[name] == flows[name].tolist(), name
    assert sum(found["packets"]) == tally.counts["version"]["packets"][:2].sum() == 79  # and two of ARP
    assert {"198.51.100.1", "2001:db8::2"} <= set(found["source"])
    first = [(each - EPOCH) // timedelta(microseconds=1) for each in found["first"]]
    assert first == [each // 1_000 for each in flows["first"].tolist()]
    assert all(each.startswith("1:") and len(each) == 30 for each in found["community_id"])


def test_a_flow_without_any_time_has_null_for_both(tmp_path):
    flows = random_flows(3)
    flows["first"], flows["last"] = [5_000, (1 << 63) - 1, 7_000], [6_000, -(1 << 63), 7_000]
    with new_flow_file(tmp_path / "flows.parquet") as writer:
        writer.write(flows)
    found = read(tmp_path / "flows.parquet")
    times = [EPOCH + timedelta(microseconds=each) for each in (5, 6, 7)]
    assert found["first"] == [times[0], None, times[2]]
    assert found["last"] == [times[1], None, times[2]]


def test_a_long_table_has_groups_of_rows_that_a_reader_may_skip(tmp_path):
    """Written in parts of any size, read as one; the groups are what the writer calls a batch."""
    flows = random_flows(70_000)
    with new_flow_file(tmp_path / "flows.parquet") as writer:
        for part in np.array_split(flows, 3):
            writer.write(part)
    found = read(tmp_path / "flows.parquet")
    for name in ("packets", "bytes", "fragments", "ttl_low", "ttl_high", "protocol"):
        assert found[name] == flows[name].tolist(), name
    file = (
        arro3.io.ParquetFile.open(str(tmp_path / "flows.parquet"))
        if hasattr(arro3.io, "ParquetFile")
        else None
    )
    assert file is None or file.num_row_groups == 3


def test_a_table_without_flows_is_a_table(tmp_path):
    with new_flow_file(tmp_path / "flows.parquet"):
        pass
    found = read(tmp_path / "flows.parquet")
    assert list(found) == list(COLUMNS)
    assert set(map(len, found.values())) == {0}


def test_records_may_be_overwritten_as_soon_as_they_are_written(tmp_path):
    """A tally hands its own table over, and goes on with it."""
    flows = random_flows(50)
    kept = flows["packets"].tolist()
    with new_flow_file(tmp_path / "flows.parquet") as writer:
        writer.write(flows)
        flows["packets"] = 0
    assert read(tmp_path / "flows.parquet")["packets"] == kept


def test_a_taken_name_is_refused_and_left_alone(tmp_path):
    target = tmp_path / "flows.parquet"
    target.write_bytes(b"mine")
    with pytest.raises(ObjectExists), new_flow_file(target) as writer:
        writer.write(random_flows(10))
    assert target.read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["flows.parquet"]
    assert threads() == []


def test_a_full_disk_is_reported_and_leaves_no_file_or_thread(small_disk):
    """Random flows cannot be packed, so that the disk is full after a few thousand."""

    def fill():
        with new_flow_file(small_disk / "flows.parquet") as writer:
            for seed in range(40):
                writer.write(random_flows(2_000, seed))

    with pytest.raises(StoreFull):
        fill()
    assert list(small_disk.iterdir()) == []
    assert threads() == []


def test_an_error_leaves_neither_a_file_nor_a_thread(tmp_path):

    def fail():
        with new_flow_file(tmp_path / "flows.parquet") as writer:
            writer.write(random_flows(10))
            assert len(threads()) == 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []
    assert threads() == []


def test_a_writer_says_how_far_it_is(tmp_path):
    with new_flow_file(tmp_path / "flows.parquet") as writer:
        writer.write(random_flows(3))
        assert repr(writer) == "<FlowWriter [3 rows]>"


def test_the_page_on_flow_tables_names_each_column_in_their_order():
    page = (Path(__file__).parents[3] / "docs" / "flows.md").read_text()
    named = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert named == list(COLUMNS)
