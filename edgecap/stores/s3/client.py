"""boto3's client, set up for Amazon S3, R2 and other S3 servers."""

from __future__ import annotations

import os
import random
import re
from datetime import datetime
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
import botocore.loaders
from botocore.config import Config
from botocore.utils import parse_timestamp
from pydantic import SecretStr

from edgecap.errors import ConfigError
from edgecap.network.over_botocore import Session
from edgecap.redact import redact
from edgecap.settings import StoreLocation
from edgecap.settings.uri import Address
from edgecap.stores.s3.credentials import renew_with, require_credentials
from edgecap.stores.s3.genuine import require_genuine
from edgecap.stores.s3.signed_get import SignedGets

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


_CONNECTIONS = 64


@cache
def _models() -> Any:
    """Load botocore's model of S3 once: loading it is nine tenths of a client's cost."""
    return botocore.loaders.create_loader(os.environ.get("AWS_DATA_PATH"))


def time_in(value: Any) -> datetime:
    """A time in an answer of S3, as botocore's own `parse_timestamp` reads it.

    A listing states each object's time in ISO 8601. botocore's parser tries to guess the form, which takes
    longer than the rest of the listing.

    Raises:
        ValueError: it is in no form that botocore knows.
    """
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return parse_timestamp(value)
    return found if found.tzinfo else parse_timestamp(value)


def connect(
    address: Address, endpoint: str, keys: tuple[SecretStr, SecretStr] | None, attempts: int
) -> tuple[S3Client, SignedGets]:
    """A client for the bucket at `address`, and its cheaper GETs. Raises boto3's errors.

    The client sends a request up to `attempts` times.
    """
    custom = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    core = Session()
    core.register_component("data_loader", _models())
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=time_in)
    session = boto3.Session(
        botocore_session=core,
        aws_access_key_id=keys[0].get_secret_value() if keys else None,
        aws_secret_access_key=keys[1].get_secret_value() if keys else None,
    )
    credentials = require_credentials(session)
    default = "auto" if address.scheme == "r2" else session.region_name or "us-east-1"
    client = session.client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=address.region or default,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if custom else "auto"},
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=_CONNECTIONS,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            tcp_keepalive=True,
            user_agent_extra="edgecap",
        ),
    )
    # Set as a header: with the parameter, boto3 checks the answer itself, and gets ranges wrong.
    client.meta.events.register("before-call.s3.GetObject", _ask_for_checksums)
    again: Any = partial(_again, attempts)  # boto3's types allow no handler that returns a value
    client.meta.events.register("needs-retry.s3", again)
    require_genuine(client)
    if credentials is not None:
        renew_with(client, credentials)
    return client, SignedGets(client, address.bucket, credentials)


def _ask_for_checksums(params: dict[str, Any], **_: Any) -> None:
    params["headers"]["x-amz-checksum-mode"] = "ENABLED"


def _again(most: int, *, attempts: int, response: Any, **_: Any) -> float | None:
    """Seconds until a request answered 429 is retried. R2 asks for that; boto3 does not do it."""
    if response is None or attempts >= most or response[0].status_code != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    return random.uniform(0.0, min(2.0 ** (attempts - 1), 20.0))  # noqa: S311 - no secret; as boto3's own


def endpoint_of(address: Address, place: StoreLocation) -> str:
    """The configured endpoint, or R2's; empty for boto3's own choice.

    Raises:
        ConfigError: it is not a URL, or the R2 account is missing.
    """
    if place.endpoint_url:
        if not re.match(r"https?://[^/]", place.endpoint_url):
            raise ConfigError(
                "endpoint_url is not a URL", where=redact(place.endpoint_url), hint="write https://host"
            )
        return place.endpoint_url
    if address.scheme != "r2":
        return ""
    if not address.account_id:
        raise ConfigError(
            "an R2 bucket needs its account", where=address.uri, hint="add ?account-id=<id> to the URI"
        )
    return f"https://{address.r2_host}"


def keys_of(address: Address, place: StoreLocation) -> tuple[SecretStr, SecretStr] | None:
    """Key and secret of the settings, else of the URI; None for boto3's own chain.

    Raises:
        ConfigError: only one of them is set.
    """
    if (place.access_key_id is None) != (place.secret_access_key is None):
        raise ConfigError(
            "only one of access_key_id and secret_access_key is set",
            where=address.uri,
            hint="set both or none",
        )
    if place.access_key_id and place.secret_access_key:
        return place.access_key_id, place.secret_access_key
    if address.access_key_id and address.secret_access_key:
        return address.access_key_id, address.secret_access_key
    return None
