"""Names of runs before they run."""

import pytest

from tasks.runtime.run_names import name_waiting, run_name


@pytest.mark.parametrize(
    ("flow", "parameters", "name"),
    [
        ("capture", {}, "simple 60s everything"),
        ("capture", {"request": {"type": "full", "colo": "ORD"}}, "full ORD everything"),
        ("capture", {"colo": "ord02", "destination_port": 53, "protocol": "udp"}, "full ord02 udp :53"),
        ("capture", {"request": {"type": "odd"}}, ""),
        ("reconcile", {"adopt": "ours"}, "reconcile"),
        ("register-bucket", {}, "register bucket default"),
        ("respond-to", {"source": "grafana"}, "alert from grafana"),
        ("somebody's", {}, ""),
    ],
)
def test_a_run_s_name_follows_from_its_parameters(flow, parameters, name):
    assert run_name(flow, parameters) == name


class Prefect:
    """Runs that wait, and the names that they get."""

    def __init__(self, **runs):
        self.runs, self.renamed = runs, {}

    def find_runs(self, _wanted, *, flow):
        return self.runs.get(flow, [])

    def rename(self, run_id, name):
        self.renamed[run_id] = name


def a_run(run_id, name, *, run_count=0, **parameters):
    return {"id": run_id, "name": name, "run_count": run_count, "parameters": parameters}


def test_only_waiting_runs_with_another_name_are_renamed():
    prefect = Prefect(
        capture=[
            a_run("1", "tungsten-poodle"),
            a_run("2", "simple 60s everything"),
            a_run("3", "a person's", run_count=1),
            a_run("4", "versatile-ape", request={"type": "odd"}),
        ],
        reconcile=[a_run("5", "stalwart-jackrabbit")],
    )
    assert name_waiting(prefect) == 2
    assert prefect.renamed == {"1": "simple 60s everything", "5": "reconcile"}
