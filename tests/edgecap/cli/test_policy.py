"""`policy check`: what a policy says in words, and what is wrong with it."""

import json
import re

import pytest

from edgecap.alerts.policy.rules import BUILT_IN

GOOD = """
[[rules]]
name = "login floods"
source = ["grafana", "datadog"]
kind = "login*"
severity = ["critical", "high"]
before = 120
after = 0
cooldown = 300
daily_budget = 12
preempt = true
filter = {destination_address = "203.0.113.7"}
[rules.during]
seconds = 90
colos = ["ORD"]
packet_limit = 5000

[[rules]]
name = "no tests"
kind = "test"
capture = false
"""


@pytest.fixture
def policy(shell):
    def write(text, name="policy.toml"):
        (shell.folder / name).write_text(text)
        return name

    return write


def test_the_rules_are_printed_in_order_and_in_words(call, policy):
    done = call("policy", "check", policy(GOOD))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "1  login floods",
        "2  no tests",
        "3  built-in: cloudflare attacks",
        "4  built-in: cloudflare attacks on HTTP",
        "5  built-in: cloudflare announces prefixes",
        "6  built-in: other cloudflare notifications",
        "7  built-in: default",
    ]
    assert lines[1:5] == [
        "   for alerts of kind login* from grafana or datadog, severity critical or high",
        (
            "   captures from 120 s before the start up to the alert; 90 s of every packet at ORD and the "
            "data centres that the alert names, by bucket default, at most 5,000 packets"
        ),
        "   for alerts without a target, captures 203.0.113.7",
        (
            "   joins alerts for one target for 300 s, takes at most 12 captures a day, stops a scheduled "
            "full capture"
        ),
    ]
    assert lines[6:8] == ["   for alerts of kind test from any source", "   captures nothing"]
    assert "policy.toml has no errors" in done.stderr


def test_the_settings_name_the_file(call, policy):
    done = call("policy", "check", "--json", EDGECAP_RECEIVER__POLICY=policy(GOOD))
    document = json.loads(done.stdout)
    assert document["file"] == "policy.toml"
    assert [rule["built_in"] for rule in document["rules"]] == [False, False, *[True] * len(BUILT_IN)]
    assert document["rules"][1]["says"] == ["for alerts of kind test from any source", "captures nothing"]
    assert document["warnings"] == []


def test_without_a_file_the_built_in_rules_count(call):
    done = call("policy", "check")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "1  built-in: cloudflare attacks")
    assert "There is no policy file" in done.stderr


def test_a_rule_that_can_never_match_is_a_warning(call, policy):
    text = '[[rules]]\nname = "wide"\nkind = "dos*"\n[[rules]]\nname = "narrow"\nkind = "dos_l4"\n'
    done = call("policy", "check", policy(text))
    assert done.returncode == 0
    assert "warning: rule 'narrow' can never match: 'wide' before it matches all its alerts" in done.stderr
    assert "2  narrow  (never matches)" in done.stdout.splitlines()
    document = json.loads(call("policy", "check", "policy.toml", "--json").stdout)
    assert len(document["warnings"]) == 1
    assert [rule["matches"] for rule in document["rules"]] == [True, False, *[True] * len(BUILT_IN)]


def test_a_catch_all_shows_that_built_in_rules_never_apply(call, policy):
    done = call("policy", "check", policy('[[rules]]\nname = "nothing else"\ncapture = false\n'), "--json")
    document = json.loads(done.stdout)
    assert [rule["matches"] for rule in document["rules"]] == [True, *[False] * len(BUILT_IN)]
    assert document["warnings"] == []


def test_a_rule_for_a_source_that_is_off_is_warned_of(call, policy):
    on = {"EDGECAP_ALERTS__CLOUDFLARE__SECRET": "s3"}
    done = call("policy", "check", policy(GOOD), **on)
    assert "'login floods' can never match: alerts from grafana and datadog are off" in done.stderr
    both = call("policy", "check", "policy.toml", EDGECAP_ALERTS__GRAFANA__SECRET="s3", **on)
    assert "warning" not in both.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[rules]\n", "not TOML: .*line 1"),
        ('[[rules]]\nname = "a"\nbefor = 3\n', r"rule 'a'\.befor: Extra inputs"),
        ('[[rules]]\nname = "a"\nsource = "nagios"\n', "rule 'a': unknown source 'nagios'"),
        ('[[rules]]\nname = "a"\n[rules.during]\ncolos = ["Chicago"]\n', "rule 'a': unknown data centre"),
        ('[[rules]]\nname = "a"\nexpression = "udp and"\n', "rule 'a': the filter is not valid: can't parse"),
        ('[[rules]]\nname = "all"\n[[rules]]\nname = "b"\n', "rule 'b' is never reached"),
    ],
)
def test_a_wrong_policy_is_one_line_that_names_the_place(call, policy, text, says):
    done = call("policy", "check", policy(text))
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("edgecap: ")
    assert "policy.toml" in line
    assert re.search(says, line)


def test_an_expression_is_explained(call, policy):
    text = '[[rules]]\nname = "dns"\nexpression = "udp src port 53%s"\n'
    done = call("policy", "check", policy(text % ""))
    assert done.returncode == 0
    assert "   narrows each to udp src port 53: the API applies all of it" in done.stdout.splitlines()
    done = call("policy", "check", policy(text % " and less 9"))
    assert (
        "   narrows each to udp src port 53 and less 9: the API applies udp :53 > any, and edgecap applies "
        "less 9 after the download"
    ) in done.stdout.splitlines()


def test_a_policy_that_is_not_there(call):
    done = call("policy", "check", "nowhere.toml")
    assert done.returncode == 3
    assert "nowhere.toml" in done.stderr


def test_names_from_the_file_cannot_control_the_terminal(call, policy):
    done = call("policy", "check", policy('[[rules]]\nname = "a\\u001b[31m"\nkind = "b\\u0007"\n'))
    assert done.returncode == 0
    assert not {"\x1b", "\x07"} & set(done.stdout + done.stderr)
