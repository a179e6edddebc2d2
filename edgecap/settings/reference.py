"""Generate the reference of all settings from the models: `python -m edgecap.settings.reference`."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from edgecap.requests import Bounds
from edgecap.settings import Account, Bucket, Settings, StoreLocation, Timing
from edgecap.settings.alerts import (
    PRODUCTS,
    AlertSettings,
    GenericSettings,
    IncidentSettings,
    ReceiverSettings,
    SourceSettings,
)
from edgecap.settings.analytics import AnalyticsSettings

TARGET = Path("docs/settings.md")
_HEAD = """# Settings

edgecap reads `edgecap.toml` in the folder where a command runs, or the file that `EDGECAP_CONFIG` names.
The environment overrides the file. An unknown setting is refused, in the file and in the environment. You
choose the names of accounts, buckets and archives; a command or a schedule that names none uses `default`.
For the account `default`, edgecap also reads the official SDK's variables: `CLOUDFLARE_API_TOKEN`,
`CLOUDFLARE_ACCOUNT_ID`, `CLOUDFLARE_EMAIL`, `CLOUDFLARE_API_KEY`, `CLOUDFLARE_BASE_URL`. Written by
`python -m edgecap.settings.reference`.
"""
_NETWORK = """
## Networks, proxies, certificates

edgecap takes these from the environment, under their usual names. They apply to every connection that
leaves the machine: Cloudflare's API, S3, R2 and Google Cloud Storage, the servers that sign in a store's
credentials, and a Prefect server on another machine. Set them where `edgecap` runs, and for every worker.
If a value cannot be used, a command that needs the network exits with 3 before it starts anything, and
names the variable. The same holds for a `PREFECT_API_URL` that is not a valid URL.

| variable | meaning |
|---|---|
| `HTTPS_PROXY` | The proxy for `https://` addresses |
| `HTTP_PROXY` | The proxy for `http://` addresses |
| `ALL_PROXY` | The proxy where the one above is not set |
| `NO_PROXY` | Hosts that are reached without a proxy |
| `SSL_CERT_FILE`, `SSL_CERT_DIR` | Trust these CA certificates instead of the system's |
| `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`, `AWS_CA_BUNDLE` | Trust these CA certificates in addition |

**Proxies.** A proxy is `http://host:port`, `https://host:port`, `socks5://host:port` or
`socks5h://host:port`. Without a scheme it is `http://`. User and password go before the host,
percent-encoded: `http://user:p%40ss@proxy.example.net:3128`. A password needs a user. edgecap never shows
them. A SOCKS proxy resolves host names, also with `socks5://`. If a variable is set in lower case and in
upper case, the one in lower case applies.

**NO_PROXY.** Commas or spaces separate its entries. `example.com`, `.example.com` and `*.example.com` mean
the host and all hosts below it. `192.0.2.7`, `::1` and `[::1]` are addresses, `10.0.0.0/8` and `fd00::/8`
networks. They match addresses in URLs, not names, since edgecap does not resolve names for this.
`host:port` and `[::1]:port` match that port only. `*` means that no proxy is used.

**This machine.** `localhost`, the other names that distributions give to loopback, and loopback addresses
in any spelling (`127.1`, `0`) never go through a proxy. Neither does the metadata service of a cloud:
link-local addresses, `fd00:ec2::254`, `metadata.google.internal`. So `edgecap up`, the simulator and
Prefect's server on this machine need no `NO_PROXY`. edgecap adds these names to the `NO_PROXY` of the
programs that it starts.

**Prefect's own client** reads these variables itself and understands less: no networks in `NO_PROXY`, and
one file of certificates. So edgecap adds the host of `PREFECT_API_URL` to `NO_PROXY` where a network covers
it, and gives the client one file with all the certificates below (`PREFECT_API_SSL_CERT_FILE`, unless you
set it). That file is in `edgecap-certificates-<uid>` below `TMPDIR`. edgecap does not read a server's
address from a profile of Prefect: set `PREFECT_API_URL`.

**Certificates.** By default, edgecap trusts the CAs that the system trusts. Add your company's CA there (on
Debian in `/usr/local/share/ca-certificates`, with `update-ca-certificates`), and set nothing. If you
cannot, name a file. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's trust store, so they must hold
every CA that you need. edgecap also trusts the CAs of the other three variables and of `ca_bundle` in an
AWS profile. All clients use all of these variables. A folder holds certificates under OpenSSL's names
(`openssl rehash`). On a system without a trust store, edgecap uses the list of the package `certifi`.

**Errors.** If a proxy does not answer, edgecap waits for it, as in any outage. If a proxy wants a password,
or a certificate is not trusted, a command at a terminal ends with one line that names the proxy and the
variable to set. A worker's run waits until that is corrected.
"""
_SOURCES = "A source of alerts: " + ", ".join(PRODUCTS)
_CUSTOM = """
A source of your own has the same settings in a table `[alerts.custom.NAME]`, with variables such as
`EDGECAP_ALERTS__CUSTOM__NAME__SECRET`: see [Alerts from anything else](alerts/generic.md#several-products).
"""


def settings_page() -> str:
    """The page `docs/settings.md`."""
    parts = [_HEAD]
    for title, table, variable, model in (
        ("A Cloudflare account", "accounts.NAME", "ACCOUNTS__NAME__", Account),
        ("Network Analytics", "accounts.NAME.analytics", "ACCOUNTS__NAME__ANALYTICS__", AnalyticsSettings),
        ("A bucket that full captures are written to", "buckets.NAME", "BUCKETS__NAME__", Bucket),
        ("An archive", "archives.NAME", "ARCHIVES__NAME__", StoreLocation),
        ("Waits and deadlines, in seconds", "timing", "TIMING__", Timing),
        ("The API's documented bounds", "bounds", "BOUNDS__", Bounds),
        ("The alert receiver", "receiver", "RECEIVER__", ReceiverSettings),
        ("Incidents", "incidents", "INCIDENTS__", IncidentSettings),
        (_SOURCES, "alerts.SOURCE", "ALERTS__SOURCE__", SourceSettings),
        ("Alerts from anything else", "alerts.generic", "ALERTS__GENERIC__", GenericSettings),
    ):
        parts.append(f"\n## {title}: `[{table}]`\n")
        parts += _rows(model, variable)
    parts.append(_CUSTOM)
    parts.append("\n## All sources of alerts: `[alerts]`\n")
    parts += _rows(AlertSettings, "ALERTS__", only=("target_labels",))
    parts.append("\n## At the top of the file\n")
    parts += _rows(Settings, "", only=("home", "prefect_yaml", "ui_hosts", "strict_permissions"))
    parts.append(_NETWORK)
    return "\n".join(parts).replace("\n\n\n", "\n\n") + "\n"


def _rows(model: type[BaseModel], variable: str, only: tuple[str, ...] = ()) -> list[str]:
    rows = ["| setting | environment | kind | default | meaning |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if (only and name not in only) or _is_table(field):
            continue
        default = "" if field.is_required() or field.default in (None, "") else f"`{field.default}`"
        meaning = field.description or ""
        rows.append(
            f"| `{name}` | `EDGECAP_{variable}{name.upper()}` | {_kind(field)} | {default} | {meaning} |"
        )
    return rows


def _is_table(field: FieldInfo) -> bool:
    """Whether it is a table of its own, which has a section of its own."""
    inner = field.annotation
    return isinstance(inner, type) and issubclass(inner, BaseModel)


def _kind(field: FieldInfo) -> str:
    return " or ".join(_name(part) for part in _parts(field.annotation) if part is not type(None))


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _name(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _name(get_args(kind)[0])
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        Path: "path",
        SecretStr: "secret",
    }
    return names.get(kind, getattr(kind, "__name__", str(kind)))


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(settings_page())
