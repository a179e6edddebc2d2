"""Where Cloudflare writes full captures: a bucket of the settings, in the API's own words."""

from __future__ import annotations

from urllib.parse import quote

from edgecap.errors import ConfigError
from edgecap.settings import StoreLocation
from edgecap.settings.uri import Address, parse_uri

_PLAIN = "/{}=,:@!$()*+;~"  # what may stand in a path as it is


def destination_conf(place: StoreLocation, *, with_secrets: bool) -> str:
    """The API's `destination_conf` for a bucket.

    ::

        s3://bucket/dir?region=us-east-1&sse=AES256
        gs://bucket/dir
        r2://bucket/dir?account-id=<id>                                               without secrets
        r2://bucket/dir?account-id=<id>&access-key-id=<key>&secret-access-key=<secret>   with them

    Args:
        place: the bucket; its keys may stand in the URI or beside it, and those beside it count.
        with_secrets: include an R2 bucket's keys, if they are known. Registering the bucket needs them,
            validating must not have them. S3 and GCS never need keys: the customer grants access instead.

    Raises:
        ConfigError: it is a folder, to which Cloudflare cannot write, or the URI is wrong.
    """
    address = parse_uri(place.uri)
    if address.scheme == "file":
        raise ConfigError(
            "Cloudflare cannot write to a folder",
            where=place.uri,
            hint="name an s3:, r2: or gs: bucket for full captures",
        )
    parameters = _parameters(address)
    if address.scheme == "r2":
        if not address.account_id:
            raise ConfigError(
                "the R2 bucket's account is not named",
                where=address.uri,
                hint="add ?account-id=<the account's 32 hexadecimal digits> to its URI",
            )
        if with_secrets:
            parameters |= _keys(place, address)
    path = "/" + quote(address.path, safe=_PLAIN) if address.path else ""
    query = "&".join(f"{name}={quote(value, safe=':')}" for name, value in parameters.items() if value)
    return f"{address.scheme}://{address.bucket}{path}" + (f"?{query}" if query else "")


def without_keys(destination: str) -> str:
    """A `destination_conf` without the keys that an R2 one may carry."""
    bucket, _, query = destination.partition("?")
    names = ("access-key-id", "secret-access-key")
    kept = [item for item in query.split("&") if item and item.partition("=")[0].lower() not in names]
    return bucket + (f"?{'&'.join(kept)}" if kept else "")


def same_bucket(one: Address, other: Address) -> bool:
    """Both lie in one bucket, in whatever folders. A parameter that only one of them states is ignored."""
    return (one.scheme, one.bucket) == (other.scheme, other.bucket) and all(
        not mine or not theirs or mine.lower() == theirs.lower()
        for mine, theirs in (
            (one.account_id, other.account_id),
            (one.region, other.region),
            (one.jurisdiction, other.jurisdiction),
        )
    )


def same_destination(one: Address, other: Address) -> bool:
    """Both are the same folder of the same bucket; keys and encryption make no difference."""
    return same_bucket(one, other) and one.path == other.path


def contains(outer: Address, inner: Address) -> bool:
    """`inner` is `outer` or a folder below it."""
    return same_bucket(one=outer, other=inner) and (
        not outer.path or f"{inner.path}/".startswith(f"{outer.path}/")
    )


def read_destination(text: str) -> Address | None:
    """Parse a `destination_conf` of the API's answers, whose keys are masked; None if it cannot be read."""
    bucket, _, query = text.strip().partition("?")
    # Only the parameters that identify the bucket: keys may be masked, and others may be unknown here.
    known = [item for item in query.split("&") if item.partition("=")[0] in ("account-id", "region")]
    for uri in (f"{bucket}?{'&'.join(known)}", bucket):
        try:
            return parse_uri(uri.rstrip("?"))
        except ConfigError:
            continue
    return None


def _parameters(address: Address) -> dict[str, str]:
    if address.scheme == "s3":
        return {"region": address.region, "sse": address.sse}
    return {"account-id": address.account_id} if address.scheme == "r2" else {}


def _keys(place: StoreLocation, address: Address) -> dict[str, str]:
    key = place.access_key_id or address.access_key_id
    secret = place.secret_access_key or address.secret_access_key
    if key is None or secret is None:
        return {}
    return {"access-key-id": key.get_secret_value(), "secret-access-key": secret.get_secret_value()}
