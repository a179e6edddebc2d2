"""The addresses that all wanted packets of a request go to, as far as its filter tells."""

from __future__ import annotations

from edgecap.filters.syntax import Condition, Every, Expression, parse
from edgecap.requests import FullRequest, SimpleRequest


def destinations(request: SimpleRequest | FullRequest) -> tuple[str, ...]:
    """Addresses and networks to which every wanted packet goes; none if the filter does not tell.

    >>> destinations(SimpleRequest(expression="udp and (dst net 203.0.113.0/24 or dst host 198.51.100.7)"))
    ('203.0.113.0/24', '198.51.100.7')
    """
    if request.filter.destination_address:
        return (request.filter.destination_address,)
    return tuple(dict.fromkeys(_of(parse(request.expression)))) if request.expression.strip() else ()


def _of(expression: Expression) -> tuple[str, ...]:
    if isinstance(expression, Condition):
        found = [choice.get("destination_address") for choice in expression.choices]
        return tuple(map(str, found)) if found and all(found) else ()
    parts = [_of(part) for part in expression.parts]
    if isinstance(expression, Every):
        return next(filter(None, parts), ())
    return tuple(address for part in parts for address in part) if all(parts) else ()
