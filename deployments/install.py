"""Installs Python packages for `make`: with uv, set up as this machine's pip is, or else with pip itself.

Standard library only: it runs before anything is installed. Its arguments are those of `uv pip install`, or,
after `--uv`, those of uv itself, for which pip cannot stand in.
"""

from __future__ import annotations

import ast
import os
import ssl
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_UV = Path(sys.executable).with_name("uv")
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
# Sections of pip's configuration that count for `pip install`, the strongest last.
_SECTIONS = ("global", "install", ":env:")
_SPACED = {"extra-index-url": "UV_INDEX", "trusted-host": "UV_INSECURE_HOST"}
_ONE = {"index-url": "UV_DEFAULT_INDEX", "timeout": "UV_HTTP_TIMEOUT", "client-cert": "SSL_CLIENT_CERT"}
# What pip takes for `cert` if nothing says so: the variables of the library that it uses.
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_TRUE = {"1", "true", "yes", "on", "y", "t"}


def pip_settings(said: str) -> dict[str, str]:
    """The options that count for `pip install`, from the words of `pip config list`."""
    found: dict[str, str] = {}
    lines = [line.partition("=") for line in said.splitlines()]
    for section in _SECTIONS:
        for name, equals, value in lines:
            if equals and name.startswith(f"{section}."):
                option = name.removeprefix(f"{section}.").replace("_", "-")
                with suppress(ValueError, SyntaxError):
                    found[option] = str(ast.literal_eval(value))
    return found


def uv_environment(pip: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that give uv the index, the certificates and the proxy of pip.

    What the user has set for uv stands.

    Args:
        pip: options of pip, as `pip_settings` has them.
        environment: the variables that are set.
    """
    made: dict[str, str] = {}
    for option, variable in _ONE.items():
        if option in pip:
            made[variable] = pip[option]
    for option, variable in _SPACED.items():
        if option in pip:
            made[variable] = " ".join(pip[option].split())
    if "find-links" in pip:
        made["UV_FIND_LINKS"] = ",".join(pip["find-links"].split())
    if "extra-index-url" in pip:
        made["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip looks into all of its indexes, too
    if pip.get("no-index", "").lower() in _TRUE:
        made["UV_NO_INDEX"] = "1"
    if "proxy" in pip:
        made["HTTPS_PROXY"] = made["HTTP_PROXY"] = pip["proxy"]
    made = {name: value for name, value in made.items() if not environment.get(name)}
    return made | _certificates(pip, environment)


def _certificates(pip: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    given = [pip.get("cert", ""), *(environment.get(name, "") for name in _CERTIFICATES)]
    if path := next(filter(None, given), ""):
        return {"SSL_CERT_DIR" if Path(path).is_dir() else "SSL_CERT_FILE": path}
    known = ssl.get_default_verify_paths()
    if any(map(environment.get, ("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS"))) or not known.cafile:
        return {}
    # Debian's pip, and pip from 24.2 on, trust what the machine trusts; uv trusts a list of its own.
    return {"UV_SYSTEM_CERTS": "1"}


def main(arguments: list[str]) -> int:
    """Install, and return the exit code of the program that tried last."""
    said = subprocess.run([*_PIP, "config", "list"], capture_output=True, text=True, check=False)
    more = uv_environment(pip_settings(said.stdout if not said.returncode else ""), os.environ)
    plainly = arguments[:1] == ["--uv"]
    command = (
        arguments[1:] if plainly else ["pip", "install", "--quiet", "--python", sys.executable, *arguments]
    )
    try:
        code = subprocess.run([str(_UV), *command], env={**os.environ, **more}, check=False).returncode
    except OSError as error:
        sys.stderr.write(f"setup: uv does not start: {error}\n")
        code = 1
    if plainly or not code:
        return code
    sys.stderr.write("setup: uv could not install the packages; trying pip\n")
    plain = ["--compile" if argument == "--compile-bytecode" else argument for argument in arguments]
    return subprocess.run([*_PIP, "install", "--quiet", *plain], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
