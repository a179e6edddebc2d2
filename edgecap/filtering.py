"""placeholder until the filters branch lands"""

from edgecap.requests import Bounds, FullRequest, SimpleRequest


def residual(request: SimpleRequest | FullRequest, bounds: Bounds) -> str:
    return ""
