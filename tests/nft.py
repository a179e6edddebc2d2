"""Debian's nft, unpacked by `make apt`, and network namespaces of one's own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

UNPACKED = Path(sys.prefix) / "debian"
PATH = os.pathsep.join([str(UNPACKED / "usr/sbin"), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
NFT = shutil.which("nft", path=PATH)
IP = shutil.which("ip", path=PATH)
LIBRARIES = os.pathsep.join(str(folder) for folder in UNPACKED.glob("usr/lib/*-linux-gnu"))
ENVIRONMENT = {**os.environ, "PATH": PATH, "LD_LIBRARY_PATH": LIBRARIES}
UNSHARE = ["unshare", "--net", *(["--map-root-user"] if os.getuid() else [])]


def missing() -> str:
    """Why rules cannot be tried here; empty if they can."""
    if not NFT or not IP:
        return "no nft or ip: `make apt` fetches them"
    allowed = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    return "" if allowed else "no right to a network of one's own"
