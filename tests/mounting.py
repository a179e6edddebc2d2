"""File systems that tests mount, as root or through sudo if sudo asks for no password."""

import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest


def as_root(*argv):
    """The command, with sudo in front unless this is root."""
    return list(map(str, argv)) if os.getuid() == 0 else ["sudo", "-n", *map(str, argv)]


def run_as_root(*argv):
    """Run a command that needs root to its end; return the error, or nothing."""
    if os.getuid() and not shutil.which("sudo"):
        return "this takes root, and there is no sudo"
    done = subprocess.run(as_root(*argv), capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{argv[0]}: {done.stderr.strip()[-200:]}"


# The mount ends with the command. Where mounts are shared with the outside, others see it for that long.
_WITH_FILE_OVER = (
    'mount --bind "$0" "$1" || exit 99; over=$1; shift; "$@"; code=$?; umount "$over"; exit $code'
)


def run_with_file_over(file, place, argv, env):
    """Run a command as this user, with `file` mounted over `place`; skip the test where mounting is refused.

    The second try is for a chroot: there the kernel cannot make the whole tree private, since its root is no
    mount point.
    """
    as_me = ["setpriv", f"--reuid={os.getuid()}", f"--regid={os.getgid()}", "--clear-groups"]
    variables = [f"{name}={value}" for name, value in env.items()]
    command = [*([] if os.getuid() == 0 else as_me), "env", "-i", *variables, *argv]
    for propagation in ("private", "unchanged"):
        unshare = as_root("unshare", "--mount", f"--propagation={propagation}")
        whole = [*unshare, "sh", "-c", _WITH_FILE_OVER, file, place, *command]
        done = subprocess.run(whole, capture_output=True, text=True, check=False)
        if not done.stderr.startswith(("unshare: ", "mount: ", "sudo: ")):
            return done
    pytest.skip(f"no file can be mounted here: {done.stderr.strip()[-200:]}")


def remount(folder, options):
    """Change the options of a file system that `mounted` made."""
    assert not (trouble := run_as_root("mount", "-o", f"remount,{options}", folder)), trouble


def mount(folder, options):
    """Mount a tmpfs that this user owns at a folder; return the error, or nothing."""
    owner = f"uid={os.getuid()},gid={os.getgid()},mode=0700"
    return run_as_root("mount", "-t", "tmpfs", "-o", f"{owner},{options}", "tmpfs", folder)


@contextmanager
def mounted(folder, options, *, lazy=True):
    """A tmpfs at the new folder `folder`; skips the test where mounting is refused.

    Without `lazy`, it is an error if a file of it is still open at the end.
    """
    folder.mkdir()
    if trouble := mount(folder, options):
        pytest.skip(f"no file system can be mounted here: {trouble}")
    try:
        yield folder
    finally:
        trouble = run_as_root("umount", *(["--lazy"] if lazy else []), folder)
        assert not trouble, trouble
