"""`edgecap bucket register`: prove to Cloudflare, once, that a bucket is yours."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from edgecap.captures.ownership import register
from edgecap.cli.options import Account as AccountName
from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json, say
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Ownership
from edgecap.settings import DEFAULT, Account, StoreLocation, load_settings
from edgecap.stores import open_store


def register_command(
    name: Annotated[str, Parameter(name="NAME")] = DEFAULT,
    /,
    *,
    account: AccountName = DEFAULT,
    json: Json = False,
) -> None:
    """Prove to Cloudflare that a bucket is yours, once, before its first full capture.

    Args:
        name: Name of the bucket in the settings.
        account: Name of the account in the settings.
        json: Print one JSON document.
    """
    settings = load_settings()
    place = settings.bucket(name)
    ownership = asyncio.run(_register(settings.account(account), place, name))
    if json:
        print_json(
            {
                "bucket": name,
                "status": ownership.status,
                "destination_conf": ownership.destination_conf,
                "id": ownership.id,
            }
        )
    else:
        console().print(f"Bucket {name} is registered: {ownership.destination_conf}")


async def _register(account: Account, place: StoreLocation, name: str) -> Ownership:
    def begin() -> None:
        say(f"Registering bucket {name} with Cloudflare; this may take ten minutes.")

    async with Client(account) as client:
        return await register(client, open_store(place), place, on_begin=begin)
