# Functions of the C extension. Layouts are in `columns`; buffers are NumPy arrays of them, or bytes.

from typing import Any, TypeAlias

from numpy.typing import NDArray

ROW_SIZE: int
HEADERS_SIZE: int
INTERFACE_SIZE: int
MORE: int
OTHER: int
ABSURD: int

_Bytes: TypeAlias = bytes | bytearray | memoryview
_Array: TypeAlias = NDArray[Any]
_Walk: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int, int]

def walk_pcap(
    data: _Bytes,
    pos: int,
    rows: _Array | None,
    filled: int,
    swapped: bool,
    unit_ns: int,
    longest: int,
    earliest: int,
    latest: int,
    /,
) -> _Walk: ...
def walk_pcapng(
    data: _Bytes,
    pos: int,
    rows: _Array | None,
    filled: int,
    swapped: bool,
    interfaces: _Array,
    earliest: int,
    latest: int,
    /,
) -> _Walk: ...
def dissect(data: _Bytes, rows: _Array, link_types: _Array, headers: _Array, /) -> None: ...
def merge(sources: list[tuple[bytes, _Array]], taken: _Array, out: bytearray, /) -> tuple[int, int, int]: ...
