# Functions of the C extension. Layouts are in `edgecap.analytics.rows`; buffers are NumPy arrays, or bytes.

from typing import Any, TypeAlias

from numpy.typing import NDArray

RECORD_SIZE: int
TEXT_SIZE: int
PASS: int
DROP: int
LARGEST: int
FIELDS: list[str]
LACKS: list[str]

_Array: TypeAlias = NDArray[Any]

def read(
    data: bytes | bytearray | memoryview,
    begin: int,
    records: _Array,
    filled: int,
    index: _Array,
    entries: _Array,
    pool: _Array,
    state: _Array,
    counts: _Array,
    /,
) -> tuple[int, int]: ...
def build(
    records: _Array,
    order: _Array,
    interfaces: _Array,
    begin: int,
    entries: _Array,
    pool: _Array,
    known: int,
    out: bytearray,
    rows: _Array,
    lacking: _Array,
    /,
) -> tuple[int, int, int]: ...
