"""As much of Prefect's API as takes orders, on a real port; a test says when it is away or answers oddly."""

import json
import uuid
from dataclasses import dataclass, field

from deployments.local.processes import free_port
from tasks.runtime.prefect_server import PrefectServer
from tests.stand_ins import JsonHandler, serving

DEPLOYMENT = str(uuid.uuid4())


@dataclass
class PrefectStandIn:
    """Makes one run for each idempotency key, as Prefect does.

    Attributes:
        answer: called with the body of each request for a run; a (status, text) answers instead of a run.
        runs: the requests for runs that made one, in order.
        asked: the order in which incidents were asked for, with repetitions.
        events: those for the timeline.
        told: the paths that the warm process was told.
        is_busy: whether the warm process takes no run.
        hurried: the paths of runs that were scheduled anew.
        headers: of each request for a run.
    """

    answer: object = None
    port: int = field(default_factory=free_port)
    runs: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    events: list = field(default_factory=list)
    told: list = field(default_factory=list)
    is_busy: bool = False
    hurried: list = field(default_factory=list)
    headers: list = field(default_factory=list)
    ids: dict = field(default_factory=dict)
    _serving: object = None

    @property
    def api_url(self):
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def server(self):
        return PrefectServer(self.api_url)

    @property
    def warm_runner(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Begin to answer, at the same port each time."""
        world = self

        class Handler(JsonHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path.endswith("/deployments/name/respond/incident-response"):
                    self.say({"id": DEPLOYMENT})
                elif self.path.startswith("/api/flow_runs/"):
                    self.say({"state": {"type": "SCHEDULED"}})
                else:
                    self.say("3.8.8")

            def do_POST(self):
                body = self.body()
                if self.path.startswith("/runs/"):
                    world.told.append(self.path)
                    self.say({}, 503 if world.is_busy else 202)
                elif self.path.endswith("/set_state"):
                    world.hurried.append(self.path)
                    self.say({}, 201)
                elif self.path == "/api/events":
                    world.events += json.loads(body)
                    self.say(None, 204)
                else:
                    assert self.path == f"/api/deployments/{DEPLOYMENT}/create_flow_run"
                    status, answer = world.create(json.loads(body), dict(self.headers))
                    self.say(answer, status)

        self._serving = serving(Handler, self.port)
        self._serving.__enter__()

    def create(self, body, headers):
        self.headers.append(headers)
        self.asked.append(body["parameters"]["incident"])
        if self.answer and (instead := self.answer(body)):
            return instead
        key = body["idempotency_key"]
        if key in self.ids:
            return 200, {"id": self.ids[key]}
        self.ids[key] = str(uuid.uuid4())
        self.runs.append(body)
        return 201, {"id": self.ids[key]}

    def stop(self):
        """Answer nobody any more."""
        if self._serving:
            self._serving.__exit__(None, None, None)
            self._serving = None
