"""The pages on how to connect each product: what they say to paste works, and no field is left out."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from edgecap.alerts.policy.decision import Policy, decide
from edgecap.alerts.sources import label_names
from edgecap.alerts.sources.registry import SOURCES
from edgecap.settings.alerts import AlertSettings, GenericSettings

DOCS = Path(__file__).parents[4] / "docs" / "alerts"


def page(name):
    return (DOCS / f"{name}.md").read_text()


def block(name, language, number=0):
    return re.findall(rf"```{language}\n(.*?)```", page(name), re.DOTALL)[number]


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_has_a_page_with_its_path_and_secret(name):
    text = page(name)
    assert f"POST /alerts/{name}" in text
    assert f"source `{name}`" in text
    assert "| edgecap | from |" in text or name == "generic"


def test_every_page_is_about_a_known_source():
    assert {path.stem for path in DOCS.glob("*.md")} >= set(SOURCES)


def test_the_documented_datadog_payload_matches_the_fixtures_and_makes_an_alert(payload, received):
    template = json.loads(block("datadog", "json"))
    triggered = payload("datadog", "triggered")
    assert set(template) == set(triggered)
    assert {
        name for name, value in template.items() if name != "org" and not re.fullmatch(r"\$[A-Z_]+", value)
    } == set()
    (alert,) = SOURCES["datadog"].parse({**template, "title": "[Triggered] x"}, received=received)
    assert (alert.event, alert.labels) == ("start", {"title": "[Triggered] x"})


@pytest.mark.parametrize("number", [0, 1])
def test_fastnetmon_s_script_is_one_that_a_shell_takes(number):
    script = block("fastnetmon", "sh", number).replace("<receiver>", "receiver")
    subprocess.run(["sh", "-n"], input=script.encode(), check=True)


def test_the_generic_examples_work(received):
    (alert,) = SOURCES["generic"].parse(json.loads(block("generic", "json")), received=received)
    assert str(alert) == "generic udp flood start high 203.0.113.7:53"
    assert (alert.pps, alert.bps, alert.colos, alert.notes) == (500_000, 1.2e9, ("ord02", "AMS"), ())
    plan = decide(alert, Policy())
    assert [each.phase for each in plan.captures] == ["before", "during", "during"]
    assert not any("no longer keeps" in remark for remark in plan.remarks)
    for number in (0, 1):
        AlertSettings.model_validate(tomllib.loads(block("generic", "toml", number))["alerts"])


def test_the_generic_page_has_every_entry_with_its_default():
    text = page("generic")
    for name, value in GenericSettings():
        assert f"`{name}`" in text or name in ("secret", "former_secret", "open", "signature_header")
        for default in [value] if isinstance(value, str) else value or []:
            assert f"`{default}`" in text or not default


def test_the_names_of_labels_are_all_on_alertmanager_s_page():
    text = page("alertmanager")
    names = [
        label_names.WHO,
        label_names.WHAT[:1],
        label_names.WHAT[2:],
        label_names.SINGLE,
        label_names.HOSTS,
        label_names.TARGET_PORTS,
        label_names.PROTOCOLS,
        label_names.SOURCES,
        label_names.SOURCE_PORTS,
    ]
    for name in sum([*names, label_names.COLOS, label_names.SEVERITIES], ()):
        assert f"`{name}`" in text
        assert name in (label_names.__doc__ or "")
