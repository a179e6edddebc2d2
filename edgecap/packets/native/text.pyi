# Functions of the C extension. The layout of flows is in `flow_table`; buffers are NumPy arrays, or bytes.

from typing import Any

from numpy.typing import NDArray

FLOW_SIZE: int

def addresses(buffer: NDArray[Any], offset: int, stride: int, count: int, /) -> list[str]: ...
def community_ids(flows: NDArray[Any], count: int, /) -> list[str]: ...
