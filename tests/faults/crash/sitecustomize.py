"""Makes the process of a flow run die, or wait, at a chosen point, once. Every Python of a site loads this.

The product has no hooks for it. The folder that `EDGECAP_FAULTS` names holds `plan.json`: for a flow run's
id a list of steps, one for each of its lives; step N is armed until its marker file `<run id>.<N>` exists. A
step names a function, which is wrapped when its module has been imported. Standard library only.
"""

import functools
import inspect
import json
import os
import signal
import sys
import time
from pathlib import Path

_OURS = "tasks.lane"  # imported by flow runs' processes only, and not by what supervises them


class _Loader:
    """A module's loader that lets something happen after the module's code."""

    def __init__(self, loader, then):
        self._loader, self._then = loader, then

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        self._then(module)

    def __getattr__(self, name):
        return getattr(self._loader, name)


class _Finder:
    """Finds some modules as the others do, and gives them such a loader."""

    def __init__(self, wanted):
        self._wanted = wanted

    def find_spec(self, name, path=None, target=None):
        then = self._wanted.get(name)
        if then is None:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, target)):
                spec.loader = _Loader(spec.loader, then)
                return spec
        return None


class _Step:
    """What is to happen, and where."""

    def __init__(self, folder, run_id, number, plan):
        self.marker = folder / f"{run_id}.{number}"
        self.go = folder / f"{run_id}.{number}.go"
        self.worker = folder / "worker.pid"
        self.module, self.name, self.when = plan["module"], plan["name"], plan["when"]
        self.nth, self.do = plan["nth"], plan["do"]
        self.calls = 0

    def due(self):
        """Whether it happens at this call; then the marker says when."""
        self.calls += 1
        if self.calls != self.nth:
            return False
        try:
            descriptor = os.open(self.marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        os.write(descriptor, repr(time.time()).encode())
        os.close(descriptor)
        return True

    def strike(self):
        """Die, with the worker first if it shall; or wait until told to go on."""
        if self.do == "wait":
            deadline = time.monotonic() + 120
            while not self.go.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            return
        if self.do == "both":
            os.kill(int(self.worker.read_text()), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def wrap(self, module):
        *owners, last = self.name.split(".")
        owner = functools.reduce(getattr, owners, module)
        setattr(owner, last, self._wrapped(getattr(owner, last)))

    def _wrapped(self, function):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def around(*args, **kwargs):
                if self.when == "enter" and self.due():
                    self.strike()
                result = await function(*args, **kwargs)
                if self.when == "return" and self.due():
                    self.strike()
                return result

        else:

            @functools.wraps(function)
            def around(*args, **kwargs):
                if self.when == "enter" and self.due():
                    self.strike()
                result = function(*args, **kwargs)
                if self.when == "return" and self.due():
                    self.strike()
                return result

        return around


def _install():
    run_id, place = os.environ.get("PREFECT__FLOW_RUN_ID"), os.environ.get("EDGECAP_FAULTS")
    if not run_id or not place:
        return
    folder = Path(place)

    def say_so(_module):
        (folder / f"{run_id}.pid").write_text(str(os.getpid()))

    wanted = {_OURS: say_so}
    plan = json.loads((folder / "plan.json").read_text()).get(run_id, [])
    steps = [_Step(folder, run_id, number, step) for number, step in enumerate(plan)]
    step = next((step for step in steps if not step.marker.exists()), None)
    if step and step.module == _OURS:
        wanted[_OURS] = lambda module: (say_so(module), step.wrap(module))
    elif step:
        wanted[step.module] = step.wrap
    sys.meta_path.insert(0, _Finder(wanted))


_install()
