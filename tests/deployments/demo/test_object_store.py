"""The S3 server of tests and demonstration keeps to its memory."""

import shutil

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from deployments.demo.object_store import REGION, ObjectStore
from edgecap.errors import SetupError


@pytest.mark.skipif(not shutil.which("prlimit"), reason="util-linux's prlimit is not installed")
def test_an_object_that_exceeds_the_memory_is_refused_and_others_stay(tmp_path):
    """A capture that nobody stopped once filled the memory of the whole machine."""
    with ObjectStore(tmp_path, memory=400 << 20) as server:
        bucket = server.make_bucket("bucket")
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name=REGION,
            aws_access_key_id=server.access_key_id,
            aws_secret_access_key=server.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=240),
        )
        client.put_object(Bucket=bucket, Key="small", Body=b"kept")

        def fill():
            for number in range(12):
                client.put_object(Bucket=bucket, Key=f"{number}", Body=bytes(60 << 20))

        with pytest.raises(ClientError, match="500"):
            fill()
        assert client.get_object(Bucket=bucket, Key="small")["Body"].read() == b"kept"
        client.close()


def test_an_installation_without_the_extra_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin/python"))
    with pytest.raises(SetupError, match=r"not installed.*the extra `demo`"):
        ObjectStore(tmp_path).start()
