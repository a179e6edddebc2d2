"""The GraphQL endpoint of the account's Network Analytics: one request, one answer."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    execute_sync,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import VariablesInAllowedPositionRule

from edgecap.requests import rfc3339
from edgecap.simulator.analytics.fields import DIMENSIONS, METRO, Dimension, moment
from edgecap.simulator.analytics.filtering import WrongFilter, compile_filter, targets_of, window_of
from edgecap.simulator.analytics.nodes import Node
from edgecap.simulator.analytics.query import Group, QueryRefused, asked
from edgecap.simulator.analytics.rows import Row
from edgecap.simulator.analytics.sampling import Sampler
from edgecap.simulator.analytics.schema import make_schema
from edgecap.simulator.analytics.visibility import Visibility
from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential
from edgecap.simulator.envelope import Refused
from edgecap.simulator.traffic.times import SECOND, nanoseconds
from edgecap.simulator.variants import Variant

QUERIES, WINDOW = 300, timedelta(minutes=5)
MOST_ROWS = 10_000
LONGEST = 21_600  # seconds of a node's window; Cloudflare's limits differ by node and plan
_LONG = 3600  # seconds of a window, above which samples are coarser
INCOMPLETE = "some data centers did not answer in time, the result is incomplete"
_RULES = [rule for rule in specified_rules if rule is not VariablesInAllowedPositionRule]
"""Cloudflare's own examples give a `String` or an `Int` where the schema wants a `string` or a `uint64`."""
_PLAIN = {"ipDestinationAddress": "destinationAddress", "ipSourceAddress": "sourceAddress"}


class Analytics:
    """Answers queries from samples of the edge's packets.

    Args:
        sampler: of the packets; None: an account without Network Analytics.
        variant: what is unknown about the real one.
        clock: the edge's.
        delay: seconds until a packet can be in an answer.
        one_in: one of this many packets is sampled for the nodes that Cloudflare samples 1 in 10,000.
    """

    def __init__(
        self, sampler: Sampler | None, variant: Variant, clock: Clock, *, delay: float, one_in: int
    ) -> None:
        self._sampler = sampler
        self._variant = variant
        self._clock = clock
        self._visibility = Visibility(variant, delay)
        metro = variant.analytics_codes == "metro"
        self._dimensions = {**DIMENSIONS, "coloCode": METRO} if metro else DIMENSIONS
        self._one_in = one_in
        self._schema = make_schema(self._name, self._node, self._accounts)
        self._lock = Lock()
        self._asked: dict[str, deque[datetime]] = defaultdict(deque)

    def __repr__(self) -> str:
        return f"<Analytics 1 in {self._one_in} {self._visibility!r}>"

    def answer(self, caller: Credential, body: Any) -> tuple[int, dict[str, Any]]:
        """The HTTP status and the body of the answer to a request.

        Raises:
            Refused: the caller lacks the permission, and this variant says so in an envelope.
        """
        if not caller.analytics and self._variant.analytics_denied == "envelope":
            raise Refused.by(self._variant.no_permission)
        text = body.get("query") if isinstance(body, Mapping) else None
        variables = body.get("variables") if isinstance(body, Mapping) else None
        if not isinstance(text, str) or not isinstance(variables, Mapping | None):
            return self._failed(QueryRefused("query contains error, please review it and retry"))
        try:
            self._count(caller)
            document = self._checked(text)
        except QueryRefused as refused:
            return self._failed(refused)
        found = execute_sync(
            self._schema,
            document,
            root_value={"viewer": {}},
            variable_values=dict(variables or {}),
            context_value=caller,
        )
        return self._body(found)

    def _checked(self, text: str) -> DocumentNode:
        try:
            document = parse(text, max_tokens=10_000)
        except GraphQLError as error:
            raise QueryRefused(error.message) from None
        errors = validate(self._schema, document, _RULES)
        if errors:
            raise QueryRefused(_words(errors[0]))
        return document

    def _count(self, caller: Credential) -> None:
        now = self._clock.now()
        with self._lock:
            calls = self._asked[caller.name]
            while calls and calls[0] <= now - WINDOW:
                calls.popleft()
            if len(calls) >= QUERIES:
                raise QueryRefused("rate limiter budget depleted, try again after 5 minutes", 429)
            calls.append(now)

    def _accounts(self, _: Any, info: GraphQLResolveInfo, **given: Any) -> list[dict[str, Any]]:
        wanted = given["filter"]
        tags = [wanted["accountTag"]] if wanted.get("accountTag") else list(wanted.get("accountTag_in") or ())
        caller: Credential = info.context
        if len(tags) != 1:
            raise QueryRefused("an account-scoped query must name 1 account")
        if tags[0] not in caller.accounts:
            raise QueryRefused("not authorized for that account", 403)
        if not caller.analytics and self._variant.analytics_denied == "account":
            raise QueryRefused("not authorized for that account", 403)
        return [{}]

    def _node(self, node: Node, _: Any, info: GraphQLResolveInfo, **given: Any) -> list[dict[str, Any]]:
        caller: Credential = info.context
        if self._sampler is None or not caller.analytics:
            raise QueryRefused(f"does not have access to the path {node.name}", 403)
        limit = _whole(given["limit"])
        if not 0 < limit <= MOST_ROWS:
            raise QueryRefused(f"limit must be positive number and not greater than {MOST_ROWS}")
        wanted = given.get("filter") or {}
        try:
            rows = list(self._rows(node, wanted))
        except WrongFilter as error:
            raise QueryRefused(f'error parsing args for "{node.name}": {error}') from None
        names = asked(info, "dimensions")
        groups = self._grouped(rows, names)
        for key in reversed(given.get("orderBy") or ()):
            name, _, way = key.rpartition("_")
            groups.sort(key=partial(_key, name), reverse=way == "DESC")
        return [group.body() for group in groups[:limit]]

    def _rows(self, node: Node, wanted: Mapping[str, Any]) -> Iterator[Row]:
        assert self._sampler is not None
        now = self._now()
        start, end = window_of(wanted, 0, now // SECOND + 1)
        if end - start > LONGEST:
            raise QueryRefused(f"query time range is too large, time range can't be wider than {LONGEST}s")
        passes, visible = compile_filter(wanted, self._dimensions), self._visibility.visible
        rows = self._sampler.rows(
            start * SECOND,
            min(end * SECOND, self._visibility.latest(now)),
            one_in=self._interval(node, end - start),
            stage=node.tenth,
            targets=targets_of(wanted),
            system=node.system,
        )
        return (row for row in rows if visible(row, now) and passes(row))

    def _interval(self, node: Node, seconds: int) -> int:
        """The sample interval of a node: coarser for a long window, as adaptive sampling is."""
        interval = max(1, self._one_in // (10 if node.tenth else 1))
        return interval if seconds <= _LONG else interval * 10

    def _now(self) -> int:
        return nanoseconds(self._clock.now())

    def _grouped(self, rows: list[Row], names: list[str]) -> list[Group]:
        plain = {self._name(name): name for name in DIMENSIONS}
        now = self._now()
        # An attack that goes on has its end so far.
        ends = Dimension("Time", lambda row: moment(min(row.source.end, now) // SECOND))
        dimensions = {**self._dimensions, "endDatetime": ends}
        values = [dimensions[plain[name]].of for name in names]
        groups: dict[tuple[Any, ...], Group] = {}
        for row in rows:
            key = tuple(of(row) for of in values)
            if key not in groups:
                groups[key] = Group(dict(zip(names, key, strict=True)))
            groups[key].add(row.weight, row.bits)
        return list(groups.values())

    def _name(self, dimension: str) -> str:
        plain = self._variant.analytics_names == "plain"
        return _PLAIN.get(dimension, dimension) if plain else dimension

    def _body(self, found: ExecutionResult) -> tuple[int, dict[str, Any]]:
        if not found.errors:
            missing = [self._error(INCOMPLETE, None)] if self._variant.analytics_incomplete else None
            return 200, {"data": found.data, "errors": missing}
        first = found.errors[0].original_error
        status = first.status if isinstance(first, QueryRefused) else 400
        errors = [self._error(_words(error), list(map(str, error.path or ()))) for error in found.errors]
        beside = self._variant.analytics_incomplete and found.data is not None
        return self._status(status), {"data": found.data if beside else None, "errors": errors}

    def _failed(self, refused: QueryRefused) -> tuple[int, dict[str, Any]]:
        return self._status(refused.status), {"data": None, "errors": [self._error(str(refused), None)]}

    def _status(self, status: int) -> int:
        return status if self._variant.analytics_errors == "status" else 200

    def _error(self, message: str, path: list[str] | None) -> dict[str, Any]:
        return {
            "message": message,
            "path": path,
            "extensions": {"timestamp": rfc3339(self._clock.now())},
        }


def _words(error: GraphQLError) -> str:
    """The error as Cloudflare words it, where that is documented: `unknown field`, `error parsing args`."""
    message = error.message
    if message.startswith("Cannot query field '"):
        return f'unknown field "{message.split(chr(39))[1]}"'
    if message.startswith("Field '") and "is not defined by type" in message:
        return f'error parsing args: unknown field "{message.split(chr(39))[1]}"'
    return message


def _key(name: str, group: Group) -> Any:
    if name == "count":
        return group.total("packets")
    if name.startswith("sum_"):
        return group.total(name.removeprefix("sum_"))
    return group.dimensions.get(name, "")


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
