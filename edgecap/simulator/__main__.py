"""`python -m edgecap.simulator`: the simulated edge as a separate program."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from pydantic import ValidationError

from edgecap.errors import ConfigError, EdgecapError
from edgecap.simulator.options import SimulatorOptions, run


def main(arguments: list[str] | None = None) -> int:
    """Run it; returns the error's exit code, or 0 after SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="edgecap.simulator", description="A Cloudflare edge on this machine"
    )
    for name, field in SimulatorOptions.model_fields.items():
        action = "append" if name in ("set", "fault") else "store"
        if field.annotation is bool:
            action = "store_true"
        option, text = f"--{name.replace('_', '-')}", (field.description or "").replace("%", "%%")
        parser.add_argument(option, action=action, default=argparse.SUPPRESS, help=text)
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    try:
        given["set"] = dict(_pair(text) for text in given.get("set", []))
        run(_options(given), _tell)
    except EdgecapError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _options(given: dict[str, Any]) -> SimulatorOptions:
    try:
        return SimulatorOptions.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigError(first["msg"], where=f"--{'.'.join(map(str, first['loc']))}") from None


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _tell(variables: dict[str, str]) -> None:
    for name, value in variables.items():
        sys.stdout.write(f"{name}={value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
