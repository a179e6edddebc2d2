# Functions of the C extension. Layouts are in `columns`; buffers are NumPy arrays of them, or bytes.

from typing import Any, TypeAlias

from numpy.typing import NDArray

ROW_SIZE: int
HEADERS_SIZE: int
INTERFACE_SIZE: int
MORE: int
OTHER: int
ABSURD: int
FRACTION: int
IN_ORDER: int
SWAPPED: int
MAYBE_SWAPPED: int
PCAP: int
PCAPNG: int

_Bytes: TypeAlias = bytes | bytearray | memoryview
_Array: TypeAlias = NDArray[Any]
_Walk: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int, int, int]
_Form: TypeAlias = tuple[
    int, int, int, int, int
]  # unit, largest fraction, longest packet, record header, lengths
_Source: TypeAlias = tuple[bytes, _Array, bool]  # the last: packets stand in pcapng blocks, with options

def walk_pcap(
    data: _Bytes,
    pos: int,
    rows: _Array | None,
    filled: int,
    swapped: bool,
    form: _Form,
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
def merge(
    sources: list[_Source], taken: _Array, out: bytearray, form: int, latest: int, /
) -> tuple[int, int, int, int, int]: ...
