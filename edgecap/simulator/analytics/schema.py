"""The GraphQL schema of an account's Network Analytics, with the type names that Cloudflare's queries use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from graphql import GraphQLSchema, build_schema

from edgecap.simulator.analytics.fields import DIMENSIONS
from edgecap.simulator.analytics.filtering import LISTS, OPERATORS
from edgecap.simulator.analytics.nodes import NODES, Node

SUMS = ("bits", "packets")
_COMMON = """
scalar Time
scalar string
scalar uint64
scalar uint32
scalar int64
scalar float64
input Builtin { Int: Int, Float: Float, Boolean: Boolean, ID: ID }
type Query { viewer: viewer! }
type viewer { accounts(filter: AccountFilter!, limit: uint64): [account!]! }
input AccountFilter { accountTag: string, accountTag_in: [string!] }
type Estimate { estimate: float64!, lower: float64!, upper: float64!, sampleSize: uint64! }
type Sum { bits: uint64!, packets: uint64! }
type Average { sampleInterval: float64! }
type ConfidenceSum { bits: Estimate!, packets: Estimate! }
type Confidence { level: float64!, count: Estimate!, sum: ConfidenceSum! }
"""


def make_schema(
    rename: Callable[[str], str], resolve: Callable[..., Any], accounts: Callable[..., Any]
) -> GraphQLSchema:
    """The schema of all nodes.

    Args:
        rename: what a dimension is called in this schema.
        resolve: called as `resolve(node, parent, info, **arguments)` for a node.
        accounts: resolves `viewer.accounts`.
    """
    parts = [_COMMON, "type account {"]
    for name in NODES:
        kind = _kind(name)
        parts.append(
            f"{name}(filter: {kind}Filter_InputObject, limit: uint64!, orderBy: [{kind}OrderBy!]): [{kind}!]"
        )
    parts.append("}")
    for node in NODES.values():
        parts += _types(node, rename)
    schema = build_schema("\n".join(parts))
    fields = schema.type_map["account"].fields  # type: ignore[attr-defined] # an object type
    for name, node in NODES.items():
        fields[name].resolve = lambda parent, info, node=node, **given: resolve(node, parent, info, **given)
    schema.type_map["viewer"].fields["accounts"].resolve = accounts  # type: ignore[attr-defined]
    for node in NODES.values():
        inputs = schema.type_map[f"{_kind(node.name)}Filter_InputObject"].fields  # type: ignore[attr-defined]
        for name in node.dimensions:
            for operator in OPERATORS:
                inputs[rename(name) + operator].out_name = name + operator
    return schema


def _types(node: Node, rename: Callable[[str], str]) -> Iterable[str]:
    kind = _kind(node.name)
    yield (
        f"type {kind} {{ dimensions: {kind}Dimensions, sum: Sum, count: uint64!, avg: Average, "
        "confidence(level: float64!): Confidence }"
    )
    yield f"type {kind}Dimensions {{"
    yield from (f"{rename(name)}: {DIMENSIONS[name].kind}!" for name in node.dimensions)
    yield "}"
    yield f"input {kind}Filter_InputObject {{"
    for name in node.dimensions:
        for operator in OPERATORS:
            value = DIMENSIONS[name].kind
            yield f"{rename(name)}{operator}: {f'[{value}!]' if operator in LISTS else value}"
    yield f"AND: [{kind}Filter_InputObject!]\nOR: [{kind}Filter_InputObject!]"
    yield f"}}\nenum {kind}OrderBy {{"
    for name in (*map(rename, node.dimensions), *(f"sum_{name}" for name in SUMS), "count"):
        yield f"{name}_ASC {name}_DESC"
    yield "}"


def _kind(node: str) -> str:
    return "Account" + node[0].upper() + node[1:]
