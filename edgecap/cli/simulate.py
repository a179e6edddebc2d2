"""`edgecap simulate`: a Cloudflare edge on this machine. Its options are the simulator's."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import ValidationError

from edgecap.cli.output import say
from edgecap.errors import InvalidRequest
from edgecap.simulator.options import SimulatorOptions, run

BUCKET = "practice"
_MANY = ("set", "fault")
_OF_THE_BUCKET = ("s3_endpoint", "s3_access_key_id", "s3_secret_access_key")
_KINDS: dict[Any, Any] = {int: int, float: float, bool: bool, Path | None: Path}


def simulate(**given: Any) -> None:
    """Simulate a Cloudflare edge on this machine, until Ctrl-C or SIGTERM."""
    chosen = {name: value for name, value in given.items() if value is not None}
    if chosen.pop("with_bucket", False):
        if named := [_option(name) for name in _OF_THE_BUCKET if name in chosen]:
            raise InvalidRequest(
                f"the bucket is on an S3 server of its own, and {named[0]} names another",
                field="--with-bucket",
                hint="give one of them",
            )
        with _bucket() as place:
            _run({**chosen, **place.options}, place.variables)
    else:
        _run(chosen, {})


@dataclass(frozen=True, slots=True)
class _Place:
    """A bucket: options by which the edge reaches it, and the settings that name it as `default`."""

    options: dict[str, str]
    variables: dict[str, str]


@contextmanager
def _bucket() -> Iterator[_Place]:
    """An S3 server with a bucket; what it holds is in memory, and ends with it.

    Raises:
        SetupError: it is not installed, or does not start.
    """
    from deployments.demo.object_store import ObjectStore  # noqa: PLC0415 - slow to import

    with TemporaryDirectory(prefix="edgecap-simulate-") as folder, ObjectStore(Path(folder)) as store:
        place = store.place(store.make_bucket(BUCKET), "edge")
        key, secret = store.access_key_id, store.secret_access_key
        yield _Place(
            {"s3_endpoint": store.endpoint_url, "s3_access_key_id": key, "s3_secret_access_key": secret},
            {
                "EDGECAP_BUCKETS__DEFAULT__URI": place.uri,
                "EDGECAP_BUCKETS__DEFAULT__ENDPOINT_URL": store.endpoint_url,
                "EDGECAP_BUCKETS__DEFAULT__ACCESS_KEY_ID": key,
                "EDGECAP_BUCKETS__DEFAULT__SECRET_ACCESS_KEY": secret,
            },
        )


def _run(chosen: dict[str, Any], more: dict[str, str]) -> None:
    chosen["set"] = dict(_choice(text) for text in chosen.get("set", []))
    try:
        options = SimulatorOptions.model_validate(chosen)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        option = _option(str(first["loc"][0])) if first["loc"] else ""
        raise InvalidRequest(
            f"{option}: {first['msg']}", hint="`edgecap simulate --help` lists the valid values"
        ) from None
    run(options, lambda variables: _tell({**variables, **more}))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _choice(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidRequest(
            f"{text!r} is not NAME=VALUE", field="--set", hint="give name=value, such as list_lag=5"
        )
    return name.strip(), value.strip()


def _tell(variables: dict[str, str]) -> None:
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    sys.stdout.flush()
    say("The simulated edge is ready; Ctrl-C stops it.")


def _signature() -> inspect.Signature:
    """One keyword per option; secrets are text here, and the model hides them."""
    text = (
        "Also start an S3 server with an empty bucket, and print the settings that name it as bucket "
        "`default`. Needs the extra `demo`."
    )
    flag: Any = Annotated[bool, Parameter(name="--with-bucket", help=text, show_default=False)]
    parameters = [
        inspect.Parameter("with_bucket", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=flag)
    ]
    for name, field in SimulatorOptions.model_fields.items():
        kind: Any = list[str] if name in _MANY else _KINDS.get(field.annotation, str)
        text = field.description or ""
        if field.default_factory is None and field.default is not None and field.annotation is not bool:
            text += f" (default: {field.default})"
        if name in _MANY:
            text += " (may be repeated)"
        hint: Any = Annotated[kind | None, Parameter(name=_option(name), help=text, show_default=False)]
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        )
    return inspect.Signature(parameters)


vars(simulate)["__signature__"] = _signature()
