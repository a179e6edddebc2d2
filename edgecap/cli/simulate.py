"""`edgecap simulate`: a Cloudflare edge on this machine. Its options are the simulator's."""

from __future__ import annotations

import inspect
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import ValidationError

from edgecap.cli.output import say
from edgecap.errors import InvalidRequest
from edgecap.simulator.options import SimulatorOptions, run

_MANY = ("set", "fault")
_KINDS: dict[Any, Any] = {int: int, float: float, Path | None: Path}


def simulate(**given: Any) -> None:
    """Simulate a Cloudflare edge on this machine, until Ctrl-C or SIGTERM."""
    chosen = {name: value for name, value in given.items() if value is not None}
    chosen["set"] = dict(_choice(text) for text in chosen.get("set", []))
    try:
        options = SimulatorOptions.model_validate(chosen)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        option = _option(str(first["loc"][0])) if first["loc"] else ""
        raise InvalidRequest(
            f"{option}: {first['msg']}", hint="`edgecap simulate --help` lists the valid values"
        ) from None
    run(options, _tell)


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
    parameters = []
    for name, field in SimulatorOptions.model_fields.items():
        kind: Any = list[str] if name in _MANY else _KINDS.get(field.annotation, str)
        text = field.description or ""
        if field.default_factory is None and field.default is not None:
            text += f" (default: {field.default})"
        if name in _MANY:
            text += " (may be repeated)"
        hint: Any = Annotated[kind | None, Parameter(name=_option(name), help=text, show_default=False)]
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        )
    return inspect.Signature(parameters)


vars(simulate)["__signature__"] = _signature()
