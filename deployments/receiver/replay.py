"""An alert sent again: the payload goes to the real receiver, signed as its product signs it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from edgecap.alerts.sources.enabled import EnabledSource
from edgecap.errors import AlertNotUnderstood, ConfigError, EdgecapError, SetupError
from edgecap.network.errors import diagnose
from edgecap.network.over_httpx import Network

TIMEOUT = 20.0  # seconds; the receiver gives a body ten, and the disk eight

_TAKEN = (httpx.codes.OK, httpx.codes.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver answered.

    Attributes:
        url: where the payload went.
        arrival: the id under which it is on the receiver's disk; None for a trial message, which is not kept.
    """

    url: str
    arrival: int | None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(httpx.codes.OK if self.arrival is None else httpx.codes.ACCEPTED)


def replay(address: str, enabled: EnabledSource, body: bytes, *, direct: bool = False) -> Answer:
    """Send a payload as its product does.

    Args:
        address: the receiver's, such as `http://127.0.0.1:4280`.
        enabled: the source with its secret.
        body: the payload, byte for byte.
        direct: take no proxy: the receiver runs on this machine.

    Raises:
        SetupError: no receiver answers there, or it cannot take alerts now.
        ConfigError: the address is not valid, the receiver has another secret, or the source is off.
        AlertNotUnderstood: it takes no such body.
    """
    name = enabled.source.name
    url = f"{address.rstrip('/')}/alerts/{name}"
    signed = [(key.encode(), value.encode()) for key, value in enabled.signed_headers(body).items()]
    try:
        with httpx.Client(
            timeout=TIMEOUT, trust_env=False, transport=None if direct else Network()
        ) as client:
            headers = [(b"Content-Type", b"application/json"), *signed]
            answer = client.post(url, content=body, headers=headers)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ConfigError(
            f"this is not a valid address: {error}",
            where=address,
            hint="give one such as http://127.0.0.1:4280",
        ) from None
    except httpx.HTTPError as error:
        diagnosis = None if direct else diagnose(error, url)
        raise SetupError(
            f"no receiver answers: {diagnosis.what if diagnosis else str(error) or type(error).__name__}",
            where=url,
            hint=diagnosis.hint
            if diagnosis
            else "start one with `edgecap receive`, or give its address with --url",
        ) from None
    told = _json(answer)
    if answer.status_code not in _TAKEN:
        raise _refused(answer.status_code, str(told.get("error", "")), url=url, name=name)
    if answer.status_code == httpx.codes.OK:
        return Answer(url, None)
    arrival = told.get("id")
    if not isinstance(arrival, int):
        raise _refused(answer.status_code, "this is not an answer of edgecap", url=url, name=name)
    return Answer(url, arrival)


def _json(answer: httpx.Response) -> dict[str, object]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _refused(status: int, said: str, *, url: str, name: str) -> EdgecapError:
    what = f"the receiver answered {status}{f': {said}' if said else ''}"
    match status:
        case httpx.codes.UNAUTHORIZED:
            hint = f"give both the same secret of alerts.{name}"
            return ConfigError(f"{what}: it has another secret for {name}", where=url, hint=hint)
        case httpx.codes.NOT_FOUND:
            return ConfigError(what, where=url, hint=f"set alerts.{name} there too, or correct --url")
        case httpx.codes.BAD_REQUEST | httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            return AlertNotUnderstood(
                what, where=url, hint=f"see docs/alerts/{name}.md for what it should send"
            )
        case httpx.codes.SERVICE_UNAVAILABLE:
            return SetupError(what, where=url, hint="look at what its log says, and send it again")
    return SetupError(what, where=url, hint="see that this is the address of `edgecap receive`")
