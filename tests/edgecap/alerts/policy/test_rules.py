"""The policy file: read strictly, faults named in a line with their rule, and the first match counts."""

import re
import tomllib

import pytest

from edgecap.alerts.policy.decision import BUILT_IN, DEFAULT_POLICY_TOML, Policy, load_policy, read_policy
from edgecap.alerts.sources.cloudflare import parse
from edgecap.errors import ConfigError
from edgecap.requests import Bounds, Filter


@pytest.fixture
def alert(payload, received):
    def make(name="advanced-ddos-l4-start", **changes):
        (found,) = parse({**payload("cloudflare", name), **changes}, received=received)
        return found

    return make


def rules(*tables):
    lines = []
    for number, table in enumerate(tables, start=1):
        lines.append(f'[[rules]]\nname = "{number}"\n{table}')
    return read_policy("\n".join(lines))


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ("", True),
        ('source = "*"', True),
        ('source = "cloudflare"', True),
        ('source = ["grafana", "cloudflare"]', True),
        ('source = "grafana"', False),
        ('kind = "advanced_ddos_attack_l4_alert"', True),
        ('kind = "*DDoS*"', True),
        ('kind = ["x", "advanced_????_attack_l[34]_alert"]', True),
        ('kind = "ddos"', False),
        ('severity = "unknown"', True),
        ('severity = ["high", "critical"]', False),
        ('source = "cloudflare"\nkind = "*"\nseverity = "unknown"', True),
        ('source = "cloudflare"\nkind = "*"\nseverity = "high"', False),
    ],
)
def test_a_rule_matches_if_source_kind_and_severity_do(alert, condition, matches):
    assert rules(condition).rules[0].matches(alert()) is matches


def test_the_first_match_counts(alert):
    policy = rules('kind = "x"', 'kind = "*l4*"', 'source = "cloudflare"')
    assert policy.match(alert()).rule.name == "2"
    assert policy.match(alert("fbm-dosd")).rule.name == "3"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("advanced-ddos-l4-start", "built-in: cloudflare attacks"),
        ("advanced-ddos-l4-end", "built-in: cloudflare attacks"),
        ("fbm-dosd", "built-in: cloudflare attacks"),
        ("fbm-volumetric", "built-in: cloudflare attacks"),
        ("tunnel-health", "built-in: other cloudflare notifications"),
    ],
)
def test_after_the_file_s_rules_come_the_built_in_ones(alert, name, rule):
    match = rules('source = "grafana"').match(alert(name))
    assert (match.rule.name, match.built_in) == (rule, True)


def test_a_billing_notification_leads_to_no_captures(alert):
    assert not Policy().match(alert(alert_type="billing_usage_alert")).rule.capture


def test_the_last_built_in_rule_matches_everything():
    assert BUILT_IN[-1].matches_all
    assert BUILT_IN[-1].capture


def test_the_printed_default_is_the_built_in_policy_and_a_valid_file(tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(DEFAULT_POLICY_TOML)
    assert tuple(load_policy(file).rules) == BUILT_IN
    assert all(line == line.rstrip() and len(line) <= 110 for line in DEFAULT_POLICY_TOML.splitlines())


def test_the_printed_default_shows_every_field_of_a_rule():
    shown = tomllib.loads(re.sub(r"(?m)^# (\w+ = )", r"\1", DEFAULT_POLICY_TOML))
    told = {field for rule in shown["rules"] for field in rule} | {"severity"}
    assert told == set(BUILT_IN[0].__class__.model_fields)
    assert set(shown["rules"][0]["during"]) == set(BUILT_IN[0].during.__class__.model_fields)
    assert "severity" in DEFAULT_POLICY_TOML


def test_no_file_is_the_built_in_policy():
    assert load_policy(None) == Policy()


def test_reads_every_field_of_a_rule():
    (rule,) = rules(
        """
        source = "cloudflare"
        kind = ["*l4*"]
        severity = ["high"]
        before = 0
        after = 300
        cooldown = 0
        daily_budget = 3
        preempt = true
        filter = { destination_address = "203.0.113.7", protocol = 17 }
        during = { seconds = 30, colos = ["ORD", "ams01"], bucket = "b", packet_limit = 10, byte_limit = 20 }
        """
    ).rules
    assert rule.filter == Filter(destination_address="203.0.113.7", protocol=17)
    assert rule.during.colos == ["ORD", "ams01"]
    assert rule.preempt


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("befor = 1", "rule '1'.befor: Extra inputs are not permitted"),
        ('before = "240"', "rule '1'.before: Input should be a valid integer"),
        ("before = -1", "rule '1'.before: Input should be greater than or equal to 0"),
        ("before = 3601", "rule '1'.before: Input should be less than or equal to 3600"),
        ("after = 1.5", "rule '1'.after: Input should be a valid integer"),
        ("capture = 1", "rule '1'.capture: Input should be a valid boolean"),
        ('capture = "no"', "rule '1'.capture: Input should be a valid boolean"),
        ("kind = []", "rule '1'.kind: List should have at least 1 item"),
        ("kind = [1]", "rule '1'.kind.0: Input should be a valid string"),
        ('severity = "bad"', "rule '1'.severity.0: Input should be 'critical'"),
        ('source = "cloudfare"', "unknown source 'cloudfare'; known are cloudflare, alertmanager"),
        ("during = { colo = 'ORD' }", "rule '1'.during.colo: Extra inputs"),
        ("during = { colos = ['Chicago'] }", "rule '1': unknown data centre 'Chicago'"),
        ("during = { seconds = 90000 }", "rule '1': time_limit 90000 is out of bounds"),
        ("during = { packet_limit = 0 }", "rule '1': packet_limit 0 is out of bounds"),
        ('expression = "udp and"', "rule '1': the filter is not valid: can't parse filter"),
        ('expression = "host example.net"', "rule '1': the filter has the unknown word 'example.net'"),
        ("expression = 3", "rule '1'.expression: Input should be a valid string"),
        (
            'filter = { protocol = 6 }\nexpression = "udp"',
            "rule '1': no packet can match: protocol is tcp, and the expression asks for udp",
        ),
        ("filter = { port = 1 }", "rule '1'.filter.port: Extra inputs"),
        ("filter = { destination_port = 70000 }", "rule '1': port 70000 does not exist"),
        ("filter = { destination_address = '2001:db8::1' }", "rule '1': 2001:db8::1 is IPv6"),
    ],
)
def test_a_mistake_is_reported_with_the_rules_name(table, line):
    with pytest.raises(ConfigError) as caught:
        rules(table)
    assert line in str(caught.value)
    assert "the policy" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("rules = 5", "rules: Input should be a valid list"),
        ("[[rule]]", "rule: Extra inputs are not permitted"),
        ("[[rules]]\nbefore = 1", "rule 1.name: Field required"),
        ("rules = [5]", "rules.0: Input should be"),
        ("[[rules", "the policy is not TOML"),
        ('[[rules]]\nname = "a"\nkind = "x"\n[[rules]]\nname = "a"', "two rules are called 'a'"),
        (
            '[[rules]]\nname = "all"\n[[rules]]\nname = "b"',
            "rule 'b' is never reached: 'all' before it matches all",
        ),
    ],
)
def test_a_file_that_is_not_a_policy_is_refused(text, line, tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_policy(file)
    assert line in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")]
)
def test_a_file_that_cannot_be_read(make, tmp_path):
    make(tmp_path / "policy.toml")
    with pytest.raises(ConfigError, match="the policy cannot be read"):
        load_policy(tmp_path / "policy.toml")


def test_the_settings_bounds_count():
    text = '[[rules]]\nname = "v6"\nfilter = { destination_address = "2001:db8::1" }'
    assert read_policy(text, bounds=Bounds(ipv6_filters=True)).rules[0].filter is not None
