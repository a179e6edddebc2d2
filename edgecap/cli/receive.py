"""`edgecap receive`: take alerts until Ctrl-C or SIGTERM."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from deployments.receiver.log import log_quietly
from deployments.receiver.serve import Receiving, serve
from edgecap.cli.output import say
from edgecap.network import check_network, prefect_api_url
from edgecap.settings import load_settings
from edgecap.settings.permissions import open_to_others


def receive(
    *,
    host: str | None = None,
    port: Annotated[int | None, Parameter(validator=Number(gte=0, lte=65_535))] = None,
) -> None:
    """Take alerts and start captures for them.

    Args:
        host: Address to listen at. Default: the settings' `receiver.host`.
        port: Port to listen at; 0 takes a free one. Default: the settings' `receiver.port`.
    """
    settings = load_settings()
    check_network()
    for line in open_to_others(settings):
        say(line)
    prefect_api_url()
    log_quietly()
    serve(settings, host=host or "", port=port, on_ready=_tell)
    say("Stopped.")


def _tell(address: str, receiving: Receiving) -> None:
    for name, source in receiving.enabled.items():
        say(f"{address}/alerts/{name}{'  open to anyone, without a secret' if source.open else ''}")
    say("Ready for alerts. Ctrl-C stops it.")
