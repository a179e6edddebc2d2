"""Flow `register-bucket`: prove to Cloudflare that a bucket is yours."""

from __future__ import annotations

from prefect import flow, get_run_logger

from edgecap.captures.ownership import register
from edgecap.cloudflare.client import Client
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import open_store


@flow(name="register-bucket", flow_run_name="register bucket {bucket}", persist_result=True)
async def register_bucket(bucket: str = DEFAULT, account: str = DEFAULT) -> str:
    """Pass Cloudflare's ownership challenge for a bucket, once, before its first full capture.

    Cloudflare writes a challenge file into the bucket. The run reads it, sends its content back, and waits
    until Cloudflare accepts it, which may take ten minutes. A bucket that is registered already is left as
    it is.

    Args:
        bucket: Name of the bucket in the settings
        account: Name of the Cloudflare account in the settings
    """
    settings = load_settings()
    place = settings.bucket(bucket)
    async with Client(settings.account(account)) as client:
        ownership = await register(client, open_store(place), place)
    get_run_logger().info("Bucket %s is registered: %s", bucket, ownership.destination_conf)
    return ownership.status
