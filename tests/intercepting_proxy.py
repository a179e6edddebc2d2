"""mitmproxy as a company's proxy: it intercepts TLS with its own CA, and only it can resolve some hosts.

The hosts are made up, such as `api.edgecap.test`. No resolver knows them, so a request that arrives went
through the proxy. The proxy forwards requests to servers on this machine, in plain HTTP.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deployments.local.processes import LOOPBACK, Program, free_port
from tests.servers import OneProgram

MITMDUMP = Path(sys.executable).parents[1] / "mitmproxy" / "bin" / "mitmdump"
# Runs inside mitmproxy. `Host` stays as it was: S3's signatures are made over it.
_ADDON = """
import json
from pathlib import Path

SERVERS = json.loads({servers!r})


def requestheaders(flow):
    asked, host = flow.request, flow.request.pretty_host
    with Path({log!r}).open("a") as log:
        log.write(f"{{asked.scheme}} {{asked.method}} {{host}} {{asked.path}}\\n")
    if host in SERVERS:
        header = asked.host_header
        asked.scheme, asked.host, asked.port = "http", {loopback!r}, SERVERS[host]
        asked.host_header = header
"""


class InterceptingProxy(OneProgram):
    """`with InterceptingProxy(folder, {"a.test": port}) as proxy:`, and set HTTPS_PROXY to its `url`.

    Args:
        folder: for its CA, addon and logs.
        servers: the hosts that it knows, each with the port of this machine that answers for it.
        mode: `regular` for an HTTP proxy, or `socks5`.
        login: the `user:password` that it requires; none if empty.
    """

    def __init__(
        self, folder: Path, servers: dict[str, int], *, mode: str = "regular", login: str = ""
    ) -> None:
        self.port = free_port()
        self._mode, self._log = mode, folder / "requests.log"
        self.ca = folder / "mitmproxy-ca-cert.pem"
        addon = folder / "addon.py"
        addon.write_text(_ADDON.format(servers=json.dumps(servers), log=str(self._log), loopback=LOOPBACK))
        options = {
            "confdir": str(folder),
            "connection_strategy": "lazy",  # else it would resolve names that only the proxy knows
            "upstream_cert": "false",
            **({"proxyauth": login} if login else {}),
        }
        argv = [str(MITMDUMP), "--mode", mode, "--listen-host", LOOPBACK, "--listen-port", str(self.port)]
        argv += ["-s", str(addon), *(part for item in options.items() for part in ("--set", "=".join(item)))]
        self.program = Program("mitmproxy", argv, log=folder / "mitmproxy.log")

    @property
    def url(self) -> str:
        """Its address, without a login."""
        return f"{'socks5' if self._mode == 'socks5' else 'http'}://{LOOPBACK}:{self.port}"

    @property
    def requests(self) -> list[str]:
        """What came through, such as `https GET api.edgecap.test /client/v4/...`."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    def hosts(self) -> set[str]:
        """The hosts that got a request."""
        return {line.split()[2] for line in self.requests}

    def is_ready(self) -> bool:
        """Whether it listens, and has made its CA."""
        return super().is_ready() and self.ca.exists()
