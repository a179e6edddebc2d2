"""Cloudflare Notifications, as they come and as they might."""

from datetime import UTC, datetime

import pytest

from edgecap.alerts.sources.cloudflare import is_ping, parse
from edgecap.errors import AlertNotUnderstood


@pytest.fixture
def one(payload, received):
    """Parses a fixture, with changes to its `data` and to itself, to its one alert."""

    def parse_one(name, /, *, without=(), data=None, **changes):
        body = payload("cloudflare", name)
        body.update(changes)
        body["data"].update(data or {})
        for field in without:
            body.pop(field, None)
            body["data"].pop(field, None)
        (alert,) = parse(body, received=received)
        return alert

    return parse_one


def test_reads_every_field_of_an_l4_attack(one, received):
    alert = one("advanced-ddos-l4-start")
    assert str(alert) == "cloudflare advanced_ddos_attack_l4_alert start 203.0.113.7:443"
    assert alert.started == datetime(2026, 11, 23, 6, 31, tzinfo=UTC)
    assert alert.ended is None
    assert alert.received == received
    assert (alert.targets, alert.target_port, alert.protocol) == (("203.0.113.7",), 443, 6)
    assert (alert.pps, alert.bps) == (812_400, 416e6)
    assert (alert.title, alert.text) == ("L4 attacks", "DDoS attack detected")
    assert alert.labels["attack_vector"] == "SYN Flood"
    assert alert.labels["policy_id"] == "749b911ea5d04344a58e45edd099b328"
    assert alert.raw["alert_correlation_id"] == "000eaa907ed24e78946d3a93adb2ae57"
    assert alert.notes == ()


def test_start_and_end_of_one_attack_are_two_alerts_of_one_incident(one):
    start, end = one("advanced-ddos-l4-start"), one("advanced-ddos-l4-end")
    assert (start.event, end.event) == ("start", "end")
    assert start.incident == end.incident
    assert start.identity != end.identity
    assert end.ended == datetime(2026, 11, 23, 6, 46, 5, tzinfo=UTC)


def test_other_rates_and_times_are_the_same_alert(one):
    again = one("advanced-ddos-l4-start", ts=1795415999, data={"packets_per_second": 5, "target_port": 0})
    assert again.identity == one("advanced-ddos-l4-start").identity


def test_another_attack_on_the_same_target_is_another_alert(one):
    other = one("advanced-ddos-l4-start", alert_correlation_id="f" * 32)
    assert other.incident != one("advanced-ddos-l4-start").incident


def test_without_a_correlation_id_the_attack_s_id_joins(one):
    start = one("advanced-ddos-l4-start", without=["alert_correlation_id"])
    end = one("advanced-ddos-l4-end", without=["alert_correlation_id"])
    assert start.incident == end.incident
    assert start.identity != end.identity


def test_without_any_id_target_rule_and_start_join(one):
    without = ["alert_correlation_id", "attack_id"]
    start = one("advanced-ddos-l4-start", without=without)
    assert start.incident == one("advanced-ddos-l4-end", without=without).incident
    elsewhere = one("advanced-ddos-l4-start", without=without, data={"target_ip": "203.0.113.8"})
    assert elsewhere.incident != start.incident
    later = one("advanced-ddos-l4-start", without=without, data={"start_time": "2026-11-24T06:31:00Z"})
    assert later.incident != start.incident


@pytest.mark.parametrize(
    "field", ["account_id", "policy_id", "alert_type", "alert_correlation_id", "alert_event"]
)
def test_optional_fields_may_be_absent(one, field):
    alert = one("advanced-ddos-l4-start", without=[field])
    assert alert.targets == ("203.0.113.7",)
    assert alert.event == "start"


def test_the_dashboard_s_own_test_alert(one):
    alert = one("dos-l4-dashboard-test")
    assert str(alert) == "cloudflare dos_attack_l4 start info 127.0.0.1:80"
    assert (alert.pps, alert.bps) == (800, 1e6)
    assert alert.started is None


def test_a_prefix_length_of_32_and_rates_as_text(one):
    alert = one("fbm-dosd")
    assert alert.targets == ("198.51.100.10",)
    assert (alert.protocol, alert.severity) == (17, "high")
    assert (alert.pps, alert.bps) == (500_000, 2e9)


def test_a_volumetric_attack_names_no_target(one):
    alert = one("fbm-volumetric")
    assert (alert.targets, alert.target_port, alert.protocol) == ((), None, None)
    assert (alert.pps, alert.bps) == (20_000, 1.5e9)


def test_a_tunnel_that_went_down_and_came_back(one):
    down = one("tunnel-health")
    up = one(
        "tunnel-health", data={"new_status": "MAGIC_TUNNEL_STATUS_UP", "event_ts": "2026-01-19T00:05:00Z"}
    )
    assert (down.event, up.event) == ("start", "end")
    assert down.incident == up.incident
    assert down.colos == ("ZRH", "MXP")
    again = one("tunnel-health", data={"event_ts": "2026-01-20T00:00:00Z"})
    assert again.identity != down.identity
    assert one("tunnel-health", data={"new_status": "MAGIC_TUNNEL_STATUS_PONDERING"}).event == "other"


@pytest.mark.parametrize(
    ("data", "pps", "bps"),
    [
        ({"packets_per_second": "812400"}, 812_400, 416e6),
        ({"packets_per_second": None}, 812_400, 416e6),
        ({"packets_per_second": None, "max_rate": None}, None, 416e6),
        ({"packets_per_second": None, "max_rate": "1.2 Gbps"}, None, 416e6),
        ({"megabits_per_second": None, "max_rate": "1.2 Gbps"}, 812_400, 1.2e9),
        ({"megabits_per_second": None, "max_rate": "800"}, 812_400, None),
        ({"packets_per_second": None, "max_rate": "800"}, 800, 416e6),
        ({"packets_per_second": 0, "megabits_per_second": 0}, 0, 0),
        ({"packets_per_second": {"x": 1}, "megabits_per_second": [1]}, 812_400, None),
        ({"packets_per_second": 10**400, "megabits_per_second": "1e999", "max_rate": -1}, None, None),
    ],
)
def test_reads_rates_in_any_field_and_unit(one, data, pps, bps):
    alert = one("advanced-ddos-l4-start", data=data)
    assert (alert.pps, alert.bps) == (pps, bps)


@pytest.mark.parametrize(
    ("data", "targets", "port"),
    [
        ({"target_port": 0}, ("203.0.113.7",), None),
        ({"target_port": "443"}, ("203.0.113.7",), 443),
        ({"target_port": None}, ("203.0.113.7",), None),
        ({"target_port": 70_000}, ("203.0.113.7",), None),
        ({"target_ip": "203.0.113.7:8443", "target_port": 0}, ("203.0.113.7",), 8443),
        ({"target_ip": "203.0.113.0/24"}, ("203.0.113.0/24",), 443),
        ({"target_ip": "203.0.113.7, 203.0.113.8"}, ("203.0.113.7", "203.0.113.8"), 443),
        ({"target_ip": ["203.0.113.7", None, 5, "203.0.113.7/32"]}, ("203.0.113.7",), 443),
        ({"target_ip": "2001:db8::7"}, ("2001:db8::7",), 443),
        ({"target_ip": ""}, (), 443),
        ({"target_ip": None}, (), 443),
        ({"target_ip": {"v4": "203.0.113.7"}}, (), 443),
        ({"target_ip": 3405803783}, (), 443),
    ],
)
def test_targets_and_ports_however_written(one, data, targets, port):
    alert = one("advanced-ddos-l4-start", data=data)
    assert (alert.targets, alert.target_port) == (targets, port)


def test_unusable_values_become_notes(one):
    alert = one(
        "advanced-ddos-l4-start",
        data={
            "target_port": "https",
            "protocol": "HTTP",
            "start_time": "yesterday",
            "target_ip": "example.com",
        },
    )
    assert alert.notes == (
        "data.start_time 'yesterday' is not a valid time; ignored",
        "data.target_ip 'example.com' is not a valid IP address; ignored",
        "data.target_port 'https' is not a valid port; ignored",
        "data.protocol 'HTTP' is not a valid IP protocol; ignored",
    )


def test_data_that_is_not_an_object_becomes_a_note(payload, received):
    (alert,) = parse({**payload("cloudflare", "fbm-dosd"), "data": "oops"}, received=received)
    assert alert.kind == "fbm_dosd_attack"
    assert alert.notes == ("data 'oops' is not a valid object; ignored",)


def test_save_and_test_is_a_ping(payload, received):
    assert is_ping(payload("cloudflare", "save-and-test"))
    assert parse(payload("cloudflare", "save-and-test"), received=received) == []


@pytest.mark.parametrize("name", ["advanced-ddos-l4-start", "fbm-dosd", "dos-l4-dashboard-test"])
def test_an_alert_is_not_a_ping(payload, name):
    assert not is_ping(payload("cloudflare", name))


@pytest.mark.parametrize("body", [{}, {"name": "x"}, {"alert_type": "", "data": None}, {"alerts": []}])
def test_an_object_without_type_and_data_is_refused(body, received):
    with pytest.raises(AlertNotUnderstood, match="neither alert_type nor data"):
        parse(body, received=received)


class TestAnnouncements:
    """`fbm_auto_advertisement`: Magic Transit On Demand began to announce prefixes."""

    @pytest.fixture
    def announcement(self, one):
        def parse_states(*states):
            return one(
                "fbm-volumetric",
                alert_type="fbm_auto_advertisement",
                data={
                    "advertise_status": [{"prefix": prefix, "status": status} for prefix, status in states]
                },
            )

        return parse_states

    def test_it_is_a_start_about_the_announced_prefixes(self, announcement):
        alert = announcement(
            ("203.0.113.0/24", "advertised"),
            ("198.51.100.0/24", "Already Advertised"),
            ("192.0.2.0/24", "pending"),
            ("192.0.2.0/25", "failed"),
        )
        assert alert.event == "start"
        assert alert.targets == alert.announced == ("203.0.113.0/24", "198.51.100.0/24")

    @pytest.mark.parametrize("states", [(), (("203.0.113.0/24", "pending"),), (("x", "advertised"),)])
    def test_without_an_announced_prefix_it_is_news(self, announcement, states):
        alert = announcement(*states)
        assert (alert.event, alert.announced) == ("other", ())

    def test_an_attack_says_what_it_made_cloudflare_announce(self, one):
        alert = one("fbm-dosd")
        assert (alert.targets, alert.announced) == (("198.51.100.10",), ("198.51.100.0/24",))

    @pytest.mark.parametrize("states", [None, "x", [None, 5], [{"status": ["advertised"]}]])
    def test_useless_states_announce_nothing(self, one, states):
        assert one("fbm-dosd", data={"advertise_status": states}).announced == ()


def test_an_attack_on_http_is_understood(received):
    body = {
        "name": "HTTP DDoS Attack Alert",
        "alert_type": "dos_attack_l7",
        "data": {"attack_id": "a1", "target_hostname": "www.example.com", "severity": "HIGH"},
    }
    (alert,) = parse(body, received=received)
    assert (alert.event, alert.severity, alert.targets) == ("start", "high", ())
    assert alert.labels["target_hostname"] == "www.example.com"
