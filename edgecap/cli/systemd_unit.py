"""The systemd unit of `edgecap up`: one service that runs everything, as the user who prints it."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Iterable, Mapping
from math import ceil
from pathlib import Path

from edgecap.settings import CONFIG, base_folder

ENVIRONMENT = "edgecap.env"  # in the working folder: variables, one a line
_PASSED_ON = ("EDGECAP_", "CLOUDFLARE_", "AWS_", "GOOGLE_", "PREFECT_", "SSL_CERT_")
_ALSO = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_USAGE, _CONFIG_ERROR = 2, 3  # exit codes: starting again does not help


def systemd_unit(options: Iterable[str], *, longest_stop: float) -> str:
    """The unit's text.

    Args:
        options: of `edgecap up`, as it is to be called.
        longest_stop: seconds that `edgecap up` may take to stop everything.
    """
    folder = base_folder().resolve()
    command = " ".join(_quoted(word) for word in (_program(), "up", *options))
    return f"""\
# Written by `edgecap up --print-systemd-unit`. Save it as /etc/systemd/system/edgecap.service.
[Unit]
Description=edgecap: packet captures at Cloudflare's edge
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
UMask=0077
User={pwd.getpwuid(os.getuid()).pw_name}
# The folder with {CONFIG}; the state folder .edgecap is made there.
WorkingDirectory={_escaped(str(folder))}
# Secrets and other variables, one NAME=value a line; mode 0600. The file need not be there.
EnvironmentFile=-{_escaped(str(folder / ENVIRONMENT))}
ExecStart={command}
Restart=on-failure
RestartSec=10
# The command line or a setting is wrong: a person has to act.
RestartPreventExitStatus={_USAGE} {_CONFIG_ERROR}
# Only `up` gets SIGTERM: it stops its programs in order. What is left after this time is killed.
KillMode=mixed
TimeoutStopSec={ceil(2 * longest_stop) + 10}

[Install]
WantedBy=multi-user.target
"""


def not_in_unit(environment: Mapping[str, str]) -> list[str]:
    """Names of the variables of this shell that edgecap uses, and that the service does not inherit."""
    return sorted(name for name in environment if name.startswith(_PASSED_ON) or name.upper() in _ALSO)


def _program() -> str:
    """The absolute path of this command."""
    installed = Path(sys.prefix) / "bin" / "edgecap"
    return str(installed if installed.is_file() else Path(shutil.which("edgecap") or sys.argv[0]).resolve())


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """A word of a command line in a unit."""
    word = _escaped(word).replace("$", "$$")
    if any(letter.isspace() or letter in "\"'\\;" for letter in word):
        return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return word
