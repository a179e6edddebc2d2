"""FastNetMon Advanced: bans, unbans, and what is between."""

import pytest

from edgecap.alerts.sources.fastnetmon import parse
from edgecap.errors import AlertNotUnderstood


@pytest.fixture
def one(payload, received):
    def parse_one(name, *, details=None, **changes):
        body = {**payload("fastnetmon", name), **changes}
        if details:
            body["attack_details"].update(details)
        (alert,) = parse(body, received=received)
        return alert

    return parse_one


def test_reads_every_field_of_a_ban(one, received):
    alert = one("ban")
    assert str(alert) == "fastnetmon udp_flood start medium 203.0.113.70:443"
    assert (alert.started, alert.ended) == (received, None)
    assert alert.protocol == 17
    assert alert.source_addresses == ("198.51.100.1", "198.51.100.2")
    assert alert.source_ports == (53,)
    assert alert.pps == 282_473
    assert alert.bps == 15_253_590 * 8, "its traffic counts bytes"
    assert alert.title == "ban 203.0.113.70 incoming udp"
    assert alert.labels["host_group"] == "global"


def test_an_unban_ends_the_ban_s_incident(one, received):
    ban, unban = one("ban"), one("unban")
    assert (unban.event, unban.ended) == ("end", received)
    assert unban.incident == ban.incident
    assert unban.identity != ban.identity


def test_an_outgoing_attack_has_the_host_as_its_source(one):
    alert = one("ban-outgoing")
    assert (alert.targets, alert.source_addresses) == ((), ("203.0.113.71",))
    assert alert.pps == 282_473


def test_the_older_direction_field_counts_without_the_newer(one):
    alert = one("ban-outgoing", details={"attack_detection_threshold_direction": None})
    assert alert.source_addresses == ("203.0.113.71",)


def test_ipv6(one):
    alert = one("ban-ipv6")
    assert (alert.targets, alert.protocol, alert.severity) == (("2001:db8::70",), 6, "high")


def test_a_hostgroup_names_its_networks(one):
    alert = one("ban-hostgroup")
    assert alert.targets == ("203.0.113.0/24", "198.51.100.0/24")
    assert alert.protocol is None
    assert alert.notes == (), "unknown is how FastNetMon says that it is many"


@pytest.mark.parametrize(
    ("action", "event"), [("partial_block", "start"), ("ongoing", "other"), ("BAN", "start")]
)
def test_actions(one, action, event):
    assert one("partial-block", action=action).event == event


def test_packets_to_several_ports_name_no_port(one, payload):
    dump = payload("fastnetmon", "ban")["packet_dump_detailed"]
    dump[0]["destination_port"] = 80
    assert one("ban", packet_dump_detailed=dump).target_port is None


@pytest.mark.parametrize("dump", [None, [], {}, "x", [None, 5, {}], [{"destination_ip": "203.0.113.70"}]])
def test_a_useless_packet_dump_is_ignored(one, dump):
    alert = one("ban", packet_dump_detailed=dump)
    assert (alert.targets, alert.target_port) == (("203.0.113.70",), None)


@pytest.mark.parametrize("details", [None, [], "x", {}, {"attack_uuid": None, "attack_severity": 5}])
def test_without_details_the_address_is_the_identity(details, received):
    body = {"ip": "203.0.113.70", "action": "ban", "attack_details": details}
    (alert,) = parse(body, received=received)
    (end,) = parse({**body, "action": "unban"}, received=received)
    (other,) = parse({**body, "ip": "203.0.113.71"}, received=received)
    assert alert.incident == end.incident != other.incident


@pytest.mark.parametrize("body", [{}, {"ip": "203.0.113.70"}, {"action": None}, {"action": []}])
def test_a_payload_without_an_action_is_refused(body, received):
    with pytest.raises(AlertNotUnderstood, match="no action"):
        parse(body, received=received)


RULE = {
    "source_prefix": "198.51.100.4/32",
    "destination_prefix": "203.0.113.70/32",
    "destination_ports": [80],
    "source_ports": [62586],
    "packet_lengths": [40],
    "protocols": ["tcp"],
    "tcp_flags": ["syn"],
    "action_type": "discard",
    "action": {},
}


class TestFlowSpec:
    """Partial blocks: the rules say which packets are dropped."""

    def test_rules_alone_are_an_attack(self, received):
        (alert,) = parse({"flow_spec_rules": [RULE]}, received=received)
        assert str(alert) == "fastnetmon flow_spec start 203.0.113.70:80"
        assert (alert.protocol, alert.source_addresses, alert.source_ports) == (
            6,
            ("198.51.100.4",),
            (62586,),
        )
        assert alert.text.startswith("discard: destination_ports 80, destination_prefix 203.0.113.70/32")

    def test_rules_without_a_destination_name_the_source(self, received):
        rule = {name: value for name, value in RULE.items() if name != "destination_prefix"}
        (alert,) = parse({"flow_spec_rules": [rule]}, received=received)
        assert (alert.targets, alert.source_addresses) == ((), ("198.51.100.4",))

    def test_the_same_rules_are_the_same_alert_and_others_another(self, received):
        (one,) = parse({"flow_spec_rules": [RULE]}, received=received)
        (same,) = parse({"flow_spec_rules": [dict(reversed(RULE.items()))]}, received=received)
        (other,) = parse({"flow_spec_rules": [{**RULE, "protocols": ["udp"]}]}, received=received)
        assert one.identity == same.identity != other.identity

    def test_several_rules_name_what_they_have_in_common(self, received):
        rules = [RULE, {**RULE, "destination_ports": [443], "source_prefix": "198.51.100.5/32"}]
        (alert,) = parse({"flow_spec_rules": rules}, received=received)
        assert (alert.targets, alert.target_port, alert.protocol) == (("203.0.113.70",), None, 6)
        assert alert.source_addresses == ("198.51.100.4", "198.51.100.5")

    def test_a_partial_block_takes_from_its_rules_what_its_details_lack(self, one):
        alert = one("partial-block", flow_spec_rules=[RULE], packet_dump_detailed=[])
        assert (alert.targets, alert.target_port, alert.protocol) == (("203.0.113.70",), 80, 6)
        assert alert.kind == "unknown"

    def test_a_partial_unblock_ends_it(self, one):
        start, end = one("partial-block"), one("partial-block", action="partial_unblock")
        assert (end.event, end.incident) == ("end", start.incident)

    @pytest.mark.parametrize("rules", [[], [{}], [{**RULE, "action_type": "accept"}], "x", None, [5, None]])
    def test_rules_that_drop_nothing_are_no_attack(self, rules, received):
        with pytest.raises(AlertNotUnderstood, match="no action"):
            parse({"flow_spec_rules": rules}, received=received)


def test_an_unban_without_details_ends_what_goes_on_at_its_host(one):
    ban, unban = one("ban"), one("unban", attack_details={})
    assert unban.incident != ban.incident
    assert (unban.event, unban.thing) == ("end", ban.thing)
    assert one("ban", ip="203.0.113.99").thing != ban.thing


def test_details_of_an_attack_without_an_action_are_a_ban(one):
    assert one("ban", action="").event == "start"


@pytest.mark.parametrize("rules", [[], [{"destination_prefix": "203.0.113.7/32", "action_type": "accept"}]])
def test_rules_that_drop_nothing_are_no_attack(rules, received):
    with pytest.raises(AlertNotUnderstood, match="none of its flow_spec_rules drops packets"):
        parse({"flow_spec_rules": rules}, received=received)
