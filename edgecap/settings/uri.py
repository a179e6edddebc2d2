"""Parse the URI of a bucket or an archive.

The forms are Cloudflare's own for buckets, plus `file:`::

    file:/var/lib/edgecap                          a folder
    s3://bucket/dir?region=eu-west-1&sse=AES256    Amazon S3, or a server that speaks it
    r2://bucket/dir?account-id=<id>                Cloudflare R2; &access-key-id=..&secret-access-key=..
    r2://bucket/dir?account-id=<id>&jurisdiction=eu   one in a jurisdiction (eu, us, fedramp), as an archive
    gs://bucket/dir                                Google Cloud Storage

A jurisdiction is edgecap's own parameter: it selects R2's address. Cloudflare documents none for
`destination_conf`, so edgecap leaves it out there; it is unknown whether Cloudflare delivers to such buckets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from edgecap.errors import ConfigError
from edgecap.redact import redact

_FORMS = "file:/folder, s3://bucket/dir, r2://bucket/dir?account-id=<id> or gs://bucket/dir"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}[a-z0-9]")  # the widest of the providers' rules (GCS)
_REGION = re.compile(r"[a-z0-9-]{2,40}")
_ACCOUNT = re.compile(r"[0-9A-Za-z_-]{1,64}")
_JURISDICTION = re.compile(r"[a-z]{2,20}")  # not a fixed list: Cloudflare added one in August 2026
_DEFAULT = "default"  # the API's name for none
_PARAMETERS = {
    "file": frozenset[str](),
    "s3": frozenset({"region", "sse"}),
    "r2": frozenset({"account-id", "access-key-id", "secret-access-key", "region", "jurisdiction"}),
    "gs": frozenset[str](),
}


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed URI.

    Attributes:
        scheme: `file`, `s3`, `r2` or `gs`.
        bucket: the bucket's name; empty for a folder.
        path: the folder, or the prefix of all keys without slashes around it.
        region: the bucket's region, if the URI names it.
        sse: the server-side encryption of writes, if the URI names it.
        account_id: the Cloudflare account that owns an R2 bucket.
        jurisdiction: where an R2 bucket's data must stay, such as `eu`; empty for anywhere.
        access_key_id: an R2 key in the URI.
        secret_access_key: its secret.
    """

    scheme: str
    bucket: str
    path: str
    region: str = ""
    sse: str = ""
    account_id: str = ""
    jurisdiction: str = ""
    access_key_id: SecretStr | None = field(default=None, repr=False)
    secret_access_key: SecretStr | None = field(default=None, repr=False)

    @property
    def uri(self) -> str:
        """The URI without secrets and parameters."""
        if self.scheme == "file":
            return f"file:{self.path}"
        return f"{self.scheme}://{self.bucket}" + (f"/{self.path}" if self.path else "")

    @property
    def r2_host(self) -> str:
        """R2's host for the bucket: buckets of a jurisdiction exist only at its own host."""
        where = f"{self.jurisdiction}." if self.jurisdiction else ""
        return f"{self.account_id.lower()}.{where}r2.cloudflarestorage.com"


def parse_uri(uri: str) -> Address:
    """Parse a URI.

    Args:
        uri: from the settings; may hold an R2 secret, which no error repeats.

    Raises:
        ConfigError: it has none of the forms above.
    """
    scheme, colon, rest = uri.strip().partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in _PARAMETERS:
        raise _wrong(uri, "this is not a folder or bucket that edgecap supports", f"write {_FORMS}")
    return _folder(uri, rest) if scheme == "file" else _bucket(uri, scheme)


def _folder(uri: str, rest: str) -> Address:
    if rest.startswith("//"):  # file://host/path; the host must be this one
        host, slash, path = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise _wrong(uri, f"a folder on the machine {host!r} cannot be reached", "write file:/folder")
        rest = slash + path
    path = unquote(rest)
    if not path or "\0" in path:
        raise _wrong(uri, "no folder is named", "write file:/folder")
    return Address("file", "", path)


def _bucket(uri: str, scheme: str) -> Address:
    try:
        parts = urlsplit(uri.strip())
        port = parts.port
    except ValueError:
        raise _wrong(uri, "the URI is not valid", f"write {_FORMS}") from None
    if parts.username is not None or port is not None or parts.fragment:
        raise _wrong(
            uri, "a bucket's URI has no user, port or fragment", "set keys and endpoint_url beside the URI"
        )
    if not _BUCKET.fullmatch(parts.netloc):
        raise _wrong(
            uri,
            f"{parts.netloc!r} is not a bucket name",
            f"write {scheme}://bucket/dir, in lower case",
        )
    given = _parameters(uri, scheme, parts.query)
    prefix = unquote(parts.path).strip("/")
    if "\0" in prefix or any(part in ("", ".", "..") for part in prefix.split("/") if prefix):
        raise _wrong(uri, "the path has an empty, `.` or `..` part", "remove that part")
    key, secret = given.get("access-key-id"), given.get("secret-access-key")
    if (key is None) != (secret is None):
        raise _wrong(uri, "only one of access-key-id and secret-access-key is given", "give both or none")
    return Address(
        scheme,
        parts.netloc,
        prefix,
        region=given.get("region", ""),
        sse=given.get("sse", ""),
        account_id=given.get("account-id", ""),
        jurisdiction="" if given.get("jurisdiction") == _DEFAULT else given.get("jurisdiction", ""),
        access_key_id=SecretStr(key) if key is not None else None,
        secret_access_key=SecretStr(secret) if secret is not None else None,
    )


def _parameters(uri: str, scheme: str, query: str) -> dict[str, str]:
    # A secret may hold "+", which form decoding would turn into a space.
    pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)
    given = {name.lower(): value for name, value in pairs}
    known = _PARAMETERS[scheme]
    if len(given) != len(pairs):
        raise _wrong(uri, "a parameter is given twice", "give each once")
    if unknown := sorted(set(given) - known):
        listed = ", ".join(sorted(known)) or "none"
        raise _wrong(uri, f"{unknown[0]!r} is not a parameter of {scheme}: (known: {listed})", "leave it out")
    for name, form in (("region", _REGION), ("account-id", _ACCOUNT), ("jurisdiction", _JURISDICTION)):
        if name in given and not form.fullmatch(given[name]):
            raise _wrong(uri, f"{given[name]!r} is not a valid {name}", "correct it")
    if given.get("sse", "AES256") not in ("AES256", "aws:kms"):
        raise _wrong(
            uri, f"{given['sse']!r} is not a server-side encryption", "write sse=AES256 or sse=aws:kms"
        )
    return given


def _wrong(uri: str, what: str, hint: str) -> ConfigError:
    return ConfigError(what, where=redact(uri), hint=hint)
