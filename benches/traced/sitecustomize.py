"""Records each HTTP call and each event that a Python process sends.

`benches.cost` puts this folder into the PYTHONPATH of a setup. Python imports the module at its start. It
imports nothing more until the process itself imports httpx or websockets, so that a process costs what it
costs. Each process writes a file of its own into the folder that `EDGECAP_BENCH_TRACES` names.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import time

_FOLDER = os.environ.get("EDGECAP_BENCH_TRACES")
_KINDS = {  # a part of the command line: the process
    "prefect.engine": "run",
    "deployments.warm_runner": "warm process",
    "deployments.receiver": "receiver",
    "deployments.canceller": "canceller",
    "worker start": "worker",
    "server start": "server",
    "edgecap capture": "command line",
}
_FORKS = {  # what a fork calls itself: the process
    "mended_worker": "worker",
    "warm_runner": "warm process",
    "serve": "receiver",
    "canceller": "canceller",
}
_files = {}


def _kind():
    if os.environ.get("PREFECT__FLOW_RUN_ID"):  # also in a process that was forked for a run
        return "run"
    with open("/proc/self/comm") as comm:  # noqa: PTH123 - without pathlib
        if kind := _FORKS.get(comm.read().strip()):
            return kind
    command = " ".join(sys.orig_argv)
    return next((kind for part, kind in _KINDS.items() if part in command), "other")


def _write(began, status, method, url):
    pid = os.getpid()
    if pid not in _files:
        _files[pid] = open(f"{_FOLDER}/{pid}.trace", "a", buffering=1)  # noqa: PTH123, SIM115 - without pathlib, and as long as the process lives
    line = (f"{began:.6f}", f"{time.time() - began:.6f}", _kind(), str(status), method, url)
    _files[pid].write("\t".join(line) + "\n")


def _trace_httpx(module):
    def traced_async(send):
        async def traced(self, request, **options):
            began, status = time.time(), "failed"
            try:
                response = await send(self, request, **options)
                status = response.status_code
                return response
            finally:
                _write(began, status, request.method, str(request.url))

        return traced

    def traced_sync(send):
        def traced(self, request, **options):
            began, status = time.time(), "failed"
            try:
                response = send(self, request, **options)
                status = response.status_code
                return response
            finally:
                _write(began, status, request.method, str(request.url))

        return traced

    module.AsyncClient.send = traced_async(module.AsyncClient.send)
    module.Client.send = traced_sync(module.Client.send)


def _trace_websockets(module):
    send = module.ClientConnection.send

    async def traced(self, message, *given, **options):
        began = time.time()
        path = self.request.path if self.request else ""
        await send(self, message, *given, **options)
        _write(began, 0, "SEND", f"ws:{path}")

    module.ClientConnection.send = traced


class _Finder:
    """Traces a module once it is imported."""

    wanted = {"httpx": _trace_httpx, "websockets.asyncio.client": _trace_websockets}  # noqa: RUF012 - not changed

    @classmethod
    def find_spec(cls, name, path=None, target=None):  # noqa: ARG003 - importlib's
        if name not in cls.wanted:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def traced(module):
            load(module)
            cls.wanted[name](module)

        spec.loader.exec_module = traced
        return spec


if _FOLDER:
    sys.meta_path.insert(0, _Finder)
