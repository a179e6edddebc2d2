"""An S3 server on this machine, for demo and tests: MiniStack, with signatures and permissions checked."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from pathlib import Path
from typing import Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from deployments.local.processes import LOOPBACK, Program, Stoppable, answers, free_port
from edgecap.errors import SetupError
from edgecap.settings import StoreLocation

REGION = "us-east-1"
_USER = "edgecap"
MEMORY = 8 << 30  # bytes
_ATTEMPTS = 3


class ObjectStore(Stoppable):
    """MiniStack on a free port of the loopback interface; what it holds is in memory and ends with it.

    Its root key is not signature-checked, so a user with a key of its own and the right to use S3 is made:
    with that key, wrong signatures and missing rights are refused as the real S3 does.

    Args:
        folder: where its log goes.
        port: a free port is chosen if none is given.
        memory: bytes that it may take, so that it never takes the whole machine's. What would need more is
            refused with 500.
    """

    def __init__(self, folder: Path, *, port: int | None = None, memory: int = MEMORY) -> None:
        self._log = folder / "ministack.log"
        self._wanted_port = port
        self._memory = memory
        self._port = 0
        self.access_key_id = ""
        self.secret_access_key = ""
        self.program = self._program(0, "")

    def __repr__(self) -> str:
        return f"<ObjectStore {self.endpoint_url} {self.program!r}>"

    @property
    def endpoint_url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self._port}"

    def start(self) -> None:
        """Start it, and make the user and its key.

        Raises:
            SetupError: it did not start.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            self._port = self._wanted_port or free_port()
            root_secret = secrets.token_urlsafe(30)
            self.program = self._program(self._port, root_secret)
            try:
                self.program.start()
                self.program.wait_ready(lambda: answers(self._port), timeout=30)
                self._make_user(root_secret)
            except (SetupError, BotoCoreError, ClientError) as error:
                self.program.stop()
                # A free port may be taken by someone else before MiniStack binds it.
                if attempt == _ATTEMPTS or self._wanted_port or isinstance(error.__cause__, OSError):
                    if isinstance(error, SetupError):
                        raise
                    raise SetupError(
                        f"MiniStack gives no access key: {error}", where=str(self._log)
                    ) from error
            except BaseException:
                self.program.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """Stop it; its objects are gone."""
        self.program.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def make_bucket(self, name: str) -> str:
        """Make a bucket and return its name.

        Raises:
            SetupError: the server refuses.
        """
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=_config(),
        )
        try:
            client.create_bucket(Bucket=name)
        except (BotoCoreError, ClientError) as error:
            raise SetupError(f"no bucket can be made: {error}", where=f"s3://{name}") from error
        finally:
            client.close()
        return name

    def place(self, bucket: str, prefix: str = "", *, scheme: str = "s3") -> StoreLocation:
        """The settings that lead to `bucket` on this server.

        Args:
            bucket: its name.
            prefix: a folder in it.
            scheme: `s3`, or `r2` to have it taken for an R2 bucket.
        """
        query = f"?region={REGION}" if scheme == "s3" else f"?account-id={'0' * 32}"
        return StoreLocation(
            uri=f"{scheme}://{bucket}/{prefix}{query}",
            endpoint_url=self.endpoint_url,
            access_key_id=SecretStr(self.access_key_id),
            secret_access_key=SecretStr(self.secret_access_key),
        )

    def env(self) -> dict[str, str]:
        """The variables that point any S3 client at this server. They hold a secret."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
        }

    def _program(self, port: int, root_secret: str) -> Program:
        program = Path(sys.executable).with_name("ministack")
        if not program.is_file():
            raise SetupError(
                "this needs an S3 server, which is not installed",
                where=str(program),
                hint="install edgecap with the extra `demo`: the wheel's file name, then [demo]",
            )
        return Program(
            "MiniStack",
            [*_limited(self._memory), str(program)],
            log=self._log,
            env={
                "AUTH": "true",
                "SERVICES": "s3,iam,sts",
                "BIND_HOST": LOOPBACK,
                "GATEWAY_PORT": str(port),
                "AWS_ACCESS_KEY_ID": "root",
                "AWS_SECRET_ACCESS_KEY": root_secret,
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "S3_PERSIST": "0",
            },
        )

    def _make_user(self, root_secret: str) -> None:
        iam = boto3.client(
            "iam",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id="root",
            aws_secret_access_key=root_secret,
            config=_config(),
        )
        statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        try:
            iam.create_user(UserName=_USER)
            iam.put_user_policy(
                UserName=_USER,
                PolicyName="s3",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            )
            key = iam.create_access_key(UserName=_USER)["AccessKey"]
        finally:
            iam.close()
        self.access_key_id, self.secret_access_key = key["AccessKeyId"], key["SecretAccessKey"]


def _limited(memory: int) -> list[str]:
    """A command's beginning that bounds its memory in bytes, where Debian's util-linux is there."""
    return ["prlimit", f"--data={memory}", "--"] if shutil.which("prlimit") else []


def _config() -> Config:
    return Config(
        connect_timeout=5, read_timeout=20, proxies={}, retries={"mode": "standard", "max_attempts": 4}
    )
