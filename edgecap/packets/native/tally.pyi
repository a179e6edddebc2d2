# Functions of the C extension. Layouts are in `flow_table`; buffers are NumPy arrays of them, or bytes.

from typing import Any, TypeAlias

from numpy.typing import NDArray

COUNTS_SIZE: int
BIN_SIZE: int
FLOW_SIZE: int
TALKER_SIZE: int
BASE_WIDTH: int
LONGEST: int
LINKS: int
REGISTERS: int
SUFFIXES: int
SUFFIX_TEXT: int
NAME_REGISTERS: int
SUFFIX_REGISTERS: int
ENDS: int

_Array: TypeAlias = NDArray[Any]

def tally(
    data: bytes | bytearray | memoryview,
    rows: _Array,
    begin: int,
    link_types: _Array,
    weights: _Array,
    counts: _Array,
    bins: _Array,
    flows: _Array,
    index: _Array,
    seed: int,
    /,
) -> int: ...
def gather(
    flows: _Array,
    begin: int,
    destination: bool,
    talkers: _Array,
    used: int,
    index: _Array,
    registers: _Array,
    seed: int,
    /,
) -> tuple[int, int]: ...
def mark(flows: _Array, registers: _Array, /) -> None: ...
def reindex(talkers: _Array, used: int, index: _Array, seed: int, /) -> None: ...
