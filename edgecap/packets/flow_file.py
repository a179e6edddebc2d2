"""Flow tables as Parquet, written record by record, so that memory does not grow with them.

A flow that continued while the table was full has several rows: add them up.
https://parquet.apache.org
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import arro3.core as arrow
import arro3.io
import numpy as np

from edgecap import __version__
from edgecap.files.durable import new_file
from edgecap.packets.columns import Rows
from edgecap.packets.native import text

_U8, _U16, _U32, _U64 = (getattr(arrow.DataType, f"uint{bits}")() for bits in (8, 16, 32, 64))
_TIME = arrow.DataType.timestamp("ns", tz="UTC")

COLUMNS: Final = {
    "community_id": arrow.DataType.utf8(),  # Community ID 1.0, seed 0: the same for both directions
    "protocol": _U8,  # IP protocol number
    "source": arrow.DataType.utf8(),
    "source_port": _U16,  # of ICMP: the type; 0 where there are no ports
    "destination": arrow.DataType.utf8(),
    "destination_port": _U16,  # of ICMP: the code
    "packets": _U64,
    "bytes": _U64,  # on the wire
    "first": _TIME,
    "last": _TIME,
    "tcp_flags": _U8,  # the union of all packets' flags
    "fragments": _U32,  # packets that were fragments
    "ttl_low": _U8,
    "ttl_high": _U8,
    "tunnel": _U8,  # outermost tunnel: an IP protocol, or a number of `columns.TUNNELS`; 0 for none
}
"""Names and types of the columns. Only times can be null: if no packet of the flow has one."""

_SCHEMA = arrow.Schema([arrow.Field(name, kind, nullable=kind == _TIME) for name, kind in COLUMNS.items()])
_TEXTS = {"community_id", "source", "destination"}
_ROWS = 1 << 15  # per batch and row group: readers skip groups without the values that they search


class FlowWriter:
    """Takes `FLOW` records. Use `new_flow_file` to get one.

    Attributes:
        rows: written so far.
    """

    def __init__(self, descriptor: int) -> None:
        self.rows = 0
        self._file = _Recording(descriptor)
        # One batch waits while another is written: arro3 pulls, and flows are pushed.
        self._batches: queue.Queue[Any] = queue.Queue(maxsize=1)
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="flows", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<FlowWriter [{self.rows} rows]>"

    def write(self, flows: Rows) -> None:
        """Append records; they are copied.

        Raises:
            OSError: writing failed.
        """
        for start in range(0, len(flows), _ROWS):
            self._check()
            part = flows[start : start + _ROWS]
            self._put(_batch(part))
            self.rows += len(part)

    def finish(self) -> None:
        """Write the remaining records and the file's end.

        Raises:
            OSError: writing failed.
        """
        self._put(None)
        self._thread.join()
        self._check()

    def abandon(self) -> None:
        """Stop; the file is useless."""
        if self._thread.is_alive():
            self._file.forget()
            self._put(None)
            self._thread.join()

    def _put(self, batch: Any) -> None:
        while self._thread.is_alive():
            try:
                self._batches.put(batch, timeout=0.2)
            except queue.Full:
                continue
            return
        self._check()

    def _check(self) -> None:
        if self._file.broken:
            raise self._file.broken
        if self._failed:
            # A Rust panic is not an Exception; it must end only this file.
            raise RuntimeError(f"the flow table cannot be written: {self._failed}") from self._failed

    def _run(self) -> None:
        try:
            arro3.io.write_parquet(
                arrow.RecordBatchReader.from_batches(_SCHEMA, iter(self._batches.get, None)),
                cast("IO[bytes]", self._file),  # it has all methods that arro3 uses
                compression="zstd(3)",
                column_dictionary_enabled={"community_id": False},  # nearly all are unique
                max_row_group_size=_ROWS,
                created_by=f"edgecap {__version__}",
            )
        except BaseException as error:  # noqa: BLE001 - `write` and `finish` raise it
            self._failed = error


class _Recording:
    """A file for arro3 that keeps errors for later, because arro3 would panic."""

    def __init__(self, descriptor: int) -> None:
        self.broken: OSError | None = None
        self._descriptor = descriptor
        self._forgotten = False

    def forget(self) -> None:
        """Stop writing."""
        self._forgotten = True

    def write(self, data: bytes) -> int:
        if not self._forgotten:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError as error:
                self.broken = error
                self._forgotten = True
        return len(data)

    def flush(self) -> None:
        """Nothing: there is no buffer."""

    def seek(self, offset: int, whence: int = 0) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)


@contextmanager
def new_flow_file(target: Path) -> Iterator[FlowWriter]:
    """A writer of a Parquet file that gets the name `target`, durably, if the block succeeds.

    Raises:
        StoreError: as `new_file`.
    """
    with new_file(target) as descriptor:
        writer = FlowWriter(descriptor)
        try:
            yield writer
            writer.finish()
        finally:
            writer.abandon()


def _batch(flows: Rows) -> arrow.RecordBatch:
    count, size = len(flows), flows.itemsize
    flows = np.ascontiguousarray(flows)
    texts = {
        "community_id": text.community_ids(flows, count),
        "source": text.addresses(flows, 0, size, count),
        "destination": text.addresses(flows, 16, size, count),
    }
    timed = flows["first"] <= flows["last"]
    columns = [
        arrow.Array(texts[name], kind) if name in _TEXTS else _numbers(flows[name], kind, timed)
        for name, kind in COLUMNS.items()
    ]
    return arrow.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _numbers(values: Any, kind: arrow.DataType, timed: Any) -> arrow.Array:
    if kind == _TIME and not timed.all():
        known = [value if has else None for value, has in zip(values.tolist(), timed.tolist(), strict=True)]
        return arrow.Array(known, arrow.DataType.int64()).cast(kind)
    made = arrow.Array.from_numpy(np.ascontiguousarray(values))
    return made.cast(kind) if kind == _TIME else made
