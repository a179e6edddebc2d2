"""Payloads in the form of public documentation and test suites, each with what follows from it.

tests/data/public_alerts has a line for each: `from` names the source of its form; addresses, names and times
are our own, and fields that change nothing are left out. `says` is the event, the severity and the target;
`why` is a part of the plan's reason. `mapped.json` needs the mapping of a page of docs/alerts.
"""

import json
from pathlib import Path

import pytest

from edgecap.alerts.policy.decision import Policy, decide
from edgecap.alerts.sources.payload import decode
from edgecap.alerts.sources.registry import SOURCES
from edgecap.errors import AlertNotUnderstood
from tests.edgecap.alerts.conftest import RECEIVED
from tests.edgecap.alerts.sources.pages import source_of_page

DATA = Path(__file__).parents[3] / "data" / "public_alerts"
ROWS = [
    pytest.param(path.stem, row, id=f"{row.get('page', path.stem)}: {row['from'].rpartition('/')[2]}")
    for path in sorted(DATA.glob("*.json"))
    for row in json.loads(path.read_text())
]


def read(name, row):
    source = source_of_page(row["page"]) if "page" in row else SOURCES[name]
    return source.parse(decode(json.dumps(row["payload"]).encode(), source.name), received=RECEIVED)


def says(alert):
    where = ",".join(alert.targets) + (f":{alert.target_port}" if alert.target_port else "")
    return " ".join(filter(None, (alert.event, alert.severity, where)))


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_public_payload_has_the_right_outcome(name, row):
    if "refused" in row:
        with pytest.raises(AlertNotUnderstood, match=row["refused"]):
            read(name, row)
        return
    alerts = read(name, row)
    assert [says(alert) for alert in alerts] == [each["says"] for each in row["alerts"]]
    for alert, expected in zip(alerts, row["alerts"], strict=True):
        assert expected["why"] in decide(alert, Policy(), now=RECEIVED).reason


def test_there_are_many_of_each_product():
    assert len(ROWS) >= 60
    assert {param.values[0] for param in ROWS} == {*SOURCES, "mapped"}
