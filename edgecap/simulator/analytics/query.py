"""Groups of sampled rows, with their estimates and intervals, and what a query asks of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import sqrt
from statistics import NormalDist
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, GraphQLResolveInfo, InlineFragmentNode, SelectionSetNode


class QueryRefused(Exception):
    """A node is answered with an error.

    Args:
        message: what is wrong.
        status: the HTTP status, where the variant has one other than 200.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Group:
    """Rows with the same values of the asked dimensions.

    Attributes:
        dimensions: name to value.
        sizes: by weight, the number of rows, their bits and the squares of their bits.
    """

    dimensions: dict[str, Any]
    sizes: dict[int, list[int]] = field(default_factory=dict)

    def add(self, weight: int, bits: int) -> None:
        """Add a row."""
        size = self.sizes.setdefault(weight, [0, 0, 0])
        size[0] += 1
        size[1] += bits
        size[2] += bits * bits

    @property
    def rows(self) -> int:
        """The number of sampled rows."""
        return sum(size[0] for size in self.sizes.values())

    def total(self, name: str) -> int:
        """The estimate of `packets` or `bits`: each row counts as often as it is seldom sampled."""
        at = 1 if name == "bits" else 0
        return sum(weight * size[at] for weight, size in self.sizes.items())

    def body(self) -> dict[str, Any]:
        """Its fields, for GraphQL to choose from."""
        weighted = sum(weight * size[0] for weight, size in self.sizes.items())
        return {
            "dimensions": self.dimensions,
            "sum": {"packets": self.total("packets"), "bits": self.total("bits")},
            "count": weighted,
            "avg": {"sampleInterval": weighted / self.rows if self.rows else 0.0},
            "confidence": self._confidence,
        }

    def _confidence(self, _: GraphQLResolveInfo, level: float) -> dict[str, Any]:
        if not 0 < float(level) < 1:
            raise QueryRefused("confidence level must be between 0 and 1")
        packets, bits = self._interval("packets", float(level)), self._interval("bits", float(level))
        return {"level": level, "count": packets, "sum": {"packets": packets, "bits": bits}}

    def _interval(self, name: str, level: float) -> dict[str, Any]:
        at = 2 if name == "bits" else 0
        spread = sqrt(sum(weight * (weight - 1) * size[at] for weight, size in self.sizes.items()))
        around = NormalDist().inv_cdf((1 + level) / 2) * spread
        estimate = float(self.total(name))
        lower = max(0.0, estimate - around)
        return {"estimate": estimate, "lower": lower, "upper": estimate + around, "sampleSize": self.rows}


def asked(info: GraphQLResolveInfo, name: str) -> list[str]:
    """The fields that a query asks of a node's field, such as its `dimensions`."""
    return list(
        dict.fromkeys(
            inner.name.value
            for node in info.field_nodes
            for outer in _fields(info, [node.selection_set])
            if outer.name.value == name
            for inner in _fields(info, [outer.selection_set])
            if not inner.name.value.startswith("__")
        )
    )


def _fields(info: GraphQLResolveInfo, sets: Iterable[SelectionSetNode | None]) -> Iterator[FieldNode]:
    for chosen in sets:
        for node in chosen.selections if chosen else ():
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from _fields(info, [node.selection_set])
            elif isinstance(node, FragmentSpreadNode):
                yield from _fields(info, [info.fragments[node.name.value].selection_set])
