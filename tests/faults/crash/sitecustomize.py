"""Makes the process of a flow run die or wait, once, at a chosen point. Every Python of a site loads it.

The product has no hooks for it. The folder named by `EDGECAP_FAULTS` holds `plan.json`. For the id of
a flow run, or the key of a run that a terminal starts, it has a list of steps, one for each process of the
run. Step N is armed until its marker file `<key>.<N>` exists. A step names a function, which is wrapped after
its module is imported; in a fork of the fork server, as soon as it has its run. The steps under `*` are for
runs without steps of their own, such as the next run of `reconcile`, whose id nobody knows yet. In a process
that works on many runs (the warm one, and the worker before a run has a process), every function that a step
may name is wrapped, and each call looks up the plan of its run. Standard library only.
"""

import asyncio
import functools
import inspect
import json
import os
import signal
import sys
import time
from pathlib import Path

_OURS = "tasks.runtime.lane_slot"  # only the processes of flow runs import it, not their supervisors
_FORK_SERVER = "deployments.fork_server"
START = "start"  # instead of a module: as soon as the process begins
_LONGEST = 180.0  # seconds to wait until told to go on
# What the worker does for a run that has no process yet.
_WORKER = {
    "prefect.workers.base": ["BaseWorker._propose_pending_state", "BaseWorker._propose_submitting_state"],
    "prefect.workers.process": ["ProcessWorker.run"],
}


class _Loader:
    """A module's loader that calls a function after the module's code."""

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
    """Finds some modules as the other finders do, and gives them such a loader."""

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
    """What happens, and where."""

    def __init__(self, folder, key, number, plan):
        self.marker = folder / f"{key}.{number}"
        self.go = folder / f"{key}.{number}.go"
        self.worker = folder / "worker.pid"
        self.module, self.name, self.when = plan["module"], plan["name"], plan["when"]
        self.nth, self.do = plan["nth"], plan["do"]
        self.calls = 0

    def due(self, when, *_):
        """This step, if it happens at this call; then the marker says when."""
        if when != self.when:
            return None
        self.calls += 1
        return self if self.calls == self.nth and self.mark() else None

    def mark(self):
        """Whether this call is the first."""
        try:
            descriptor = os.open(self.marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        os.write(descriptor, repr(time.time()).encode())
        os.close(descriptor)
        return True

    def over(self, began):
        """Whether a waiting call may go on."""
        return self.go.exists() or time.monotonic() > began + _LONGEST

    def strike(self):
        """Kill what the step says, or wait until told to go on."""
        if self.do in ("wait", "hold"):
            began = time.monotonic()
            while not self.over(began):
                time.sleep(0.05)
            return
        if self.do in ("both", "worker"):
            os.kill(int(self.worker.read_text()), signal.SIGKILL)
        if self.do == "forks":
            os.kill(os.getppid(), signal.SIGKILL)
        if self.do == "client":
            os.kill(_client(), signal.SIGKILL)
        if self.do in ("both", "kill"):
            os.kill(os.getpid(), signal.SIGKILL)

    async def strike_among_others(self):
        """The same, but the rest of this process goes on meanwhile."""
        began = time.monotonic()
        while self.do == "hold" and not self.over(began):  # noqa: ASYNC110 - a file tells it
            await asyncio.sleep(0.05)
        if self.do != "hold":
            self.strike()


def _client():
    """The process that stands for this forked one; this one itself if nothing was forked in time."""
    run = f"PREFECT__FLOW_RUN_ID={os.environ['PREFECT__FLOW_RUN_ID']}".encode()
    for process in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        try:
            if run in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
                return process
        except OSError:  # it has ended
            continue
    raise AssertionError("it has no client")


class _Planned:
    """The steps of the run that a call is about, for a process that works on many."""

    def __init__(self, folder, module, name):
        self.folder, self.module, self.name = folder, module, name

    def due(self, when, args, kwargs):
        key = _run_of([*args, *kwargs.values()])
        plan = json.loads((self.folder / "plan.json").read_text()).get(key, []) if key else []
        for number, step in enumerate(plan):
            found = _Step(self.folder, key, number, step)
            if found.marker.exists():
                continue
            if (found.module, found.name, found.when) == (self.module, self.name, when) and found.mark():
                return found
            return None
        return None


def _run_of(arguments):
    """The id of the flow run that a call is about: an argument, or the run of this task."""
    for each in arguments:
        if type(each).__name__ == "FlowRun":
            return str(each.id)
    context = sys.modules.get("prefect.context")
    if context is None:
        return ""
    if (task := context.TaskRunContext.get()) and task.task_run.flow_run_id:
        return str(task.task_run.flow_run_id)
    flow = context.FlowRunContext.get()
    if flow and flow.flow_run:
        return str(flow.flow_run.id)
    # A thread that fetches has no task. If only one run is at work, the call is about that one.
    at_work = list(getattr(sys.modules.get("tasks.runtime.cancelling"), "RUNS", {}))
    return at_work[0] if len(at_work) == 1 else ""


def _wrap(module, name, step):
    *owners, last = name.split(".")
    owner = functools.reduce(getattr, owners, module)
    function = getattr(owner, last)
    wrapped = _wrapped(function, step)
    setattr(owner, last, wrapped)
    if owner is module:  # in a fork, other modules have imported it by its name
        for other in [*sys.modules.values()]:
            for known, value in [*getattr(other, "__dict__", {}).items()]:
                if value is function and other is not module:
                    setattr(other, known, wrapped)


def _wrapped(function, step):
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def around(*args, **kwargs):
            if now := step.due("enter", args, kwargs):
                await now.strike_among_others()
            result = await function(*args, **kwargs)
            if now := step.due("return", args, kwargs):
                await now.strike_among_others()
            return result

    else:

        @functools.wraps(function)
        def around(*args, **kwargs):
            if now := step.due("enter", args, kwargs):
                now.strike()
            result = function(*args, **kwargs)
            if now := step.due("return", args, kwargs):
                now.strike()
            return result

    return around


def _install_many(folder, points):
    """In a process that works on many runs."""

    def wrapper(name):
        def then(module):
            for point in points[name]:
                _wrap(module, point, _Planned(folder, name, point))

        return then

    sys.meta_path.insert(0, _Finder({name: wrapper(name) for name in points}))


def _after_import(wanted):
    """Call a function for each module: now if it is there, else after its import."""
    for name in wanted.keys() & sys.modules.keys():
        wanted[name](sys.modules[name])
    sys.meta_path.insert(0, _Finder({name: then for name, then in wanted.items() if name not in sys.modules}))


def _install_forks(folder):
    """In the fork server: each fork installs the steps of its run, when it has its client's variables."""

    def then(module):
        ensure = module.PrefectSettings.ensure

        def install_first(self):
            _install(folder, os.environ["PREFECT__FLOW_RUN_ID"])
            ensure(self)

        module.PrefectSettings.ensure = install_first

    sys.meta_path.insert(0, _Finder({"deployments.fork.prefect_settings": then}))


def _install(folder, key):
    """In the process of one run."""

    def say_so(_module):
        (folder / f"{key}.pid").write_text(str(os.getpid()))

    wanted = {_OURS: say_so}
    plans = json.loads((folder / "plan.json").read_text())
    mine = key if key in plans else "*"
    steps = [_Step(folder, mine, number, step) for number, step in enumerate(plans.get(mine, []))]
    step = next((step for step in steps if not step.marker.exists()), None)
    if step and step.module == START:
        (folder / f"{key}.pid").write_text(str(os.getpid()))
        if step.mark():
            step.strike()
    elif step and step.module == _OURS:
        wanted[_OURS] = lambda module: (say_so(module), _wrap(module, step.name, step))
    elif step:
        wanted[step.module] = lambda module: _wrap(module, step.name, step)
    _after_import(wanted)


def _begin():
    if not (place := os.environ.get("EDGECAP_FAULTS")):
        return
    folder = Path(place)
    key = os.environ.get("PREFECT__FLOW_RUN_ID") or os.environ.get("EDGECAP_FAULTS_KEY")
    if key:
        _install(folder, key)
    elif _FORK_SERVER in sys.orig_argv:
        _install_forks(folder)
    elif (points := folder / "points.json").exists():
        _install_many(folder, {**json.loads(points.read_text()), **_WORKER})


_begin()
