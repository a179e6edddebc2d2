"""What follows from an alert: which captures, which filter, and that the plan says why."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan, Policy, decide, read_policy, windows
from edgecap.captures.body import request_body
from edgecap.filters.of_request import residual
from edgecap.requests import Bounds, Filter

NOW = datetime(2026, 11, 23, 6, 32, tzinfo=UTC)
START = NOW - timedelta(seconds=60)


def alert(**changes):
    known = {
        "source": "cloudflare",
        "kind": "dos_attack_l4",
        "event": "start",
        "severity": "high",
        "identity": "1" * 32,
        "incident": "2" * 32,
        "received": NOW,
        "started": START,
        "targets": ("203.0.113.7",),
        "target_port": 443,
        "protocol": 6,
    }
    return Alert(**{**known, **changes})


def policy(table=""):
    return read_policy(f'[[rules]]\nname = "mine"\n{table}')


def plan(table="", *, bounds=None, now=None, **changes):
    return decide(alert(**changes), policy(table), bounds=bounds, now=now)


def phases(found):
    return [(each.phase, each.number) for each in found.captures]


class TestStart:
    def test_before_comes_first_then_the_data_centres_of_alert_and_rule(self):
        found = plan('during = { colos = ["ORD", "ZRH"], seconds = 30 }', colos=("ZRH", "MXP"))
        assert phases(found) == [("before", 1), ("during", 1), ("during", 2), ("during", 3)]
        assert [each.request.colo for each in found.captures[1:]] == ["ZRH", "MXP", "ORD"]
        assert "the alert names ZRH" in found.captures[1].why
        assert "the rule names ORD" in found.captures[3].why
        assert {each.request.time_limit for each in found.captures[1:]} == {30}
        assert found.reason == "captures: 1 before, 3 during"

    def test_before_covers_the_start_up_to_now(self):
        (before,) = plan("before = 240").captures
        assert before.request.offset_time == NOW
        assert before.request.time_limit == 300
        assert before.not_before is None
        assert "06:27:00 to 06:32:00 UTC" in before.why

    def test_full_captures_take_bucket_and_limits_from_the_rule(self):
        during = 'during = { colos = ["ORD"], bucket = "b2", packet_limit = 7, byte_limit = 8 }'
        request = plan(during).captures[1].request
        assert (request.bucket, request.packet_limit, request.byte_limit) == ("b2", 7, 8)

    def test_an_attack_that_is_over_takes_no_full_capture(self):
        found = plan('during = { colos = ["ORD"] }', ended=NOW - timedelta(seconds=20))
        assert phases(found) == [("before", 1)]
        assert "no full capture: the attack was already over when the alert arrived" in found.remarks

    def test_the_plan_says_that_no_data_centre_means_no_full_capture(self):
        found = plan()
        assert phases(found) == [("before", 1)]
        assert "no full capture: neither the alert nor the rule names a data centre" in found.remarks

    def test_a_phase_of_zero_seconds_has_no_captures(self):
        assert phases(plan("before = 0", colos=("ZRH",))) == [("during", 1)]
        assert phases(plan("during = { seconds = 0 }", colos=("ZRH",))) == [("before", 1)]
        nothing = plan("before = 0\nduring = { seconds = 0 }")
        assert nothing.captures == ()
        assert nothing.reason == "nothing is left to capture at the start"

    def test_the_start_s_plan_announces_the_captures_after_the_end(self):
        assert "when it ends, the 90 s that follow are captured" in plan("after = 90").remarks


class TestEnd:
    def test_the_seconds_after_the_end_once_they_have_passed(self):
        (after,) = plan("after = 60", event="end", ended=NOW - timedelta(seconds=10)).captures
        assert (after.phase, after.request.time_limit) == ("after", 60)
        assert after.request.offset_time == after.not_before == NOW + timedelta(seconds=50)

    def test_an_old_end_is_not_waited_for(self):
        (after,) = plan("after = 60", event="end", ended=NOW - timedelta(hours=1)).captures
        assert after.request.offset_time == NOW - timedelta(minutes=59)
        assert after.not_before is None

    def test_without_a_time_it_ended_when_it_arrived(self):
        (after,) = plan("after = 60", event="end").captures
        assert after.request.offset_time == NOW + timedelta(seconds=60)

    def test_a_long_one_is_tiled(self):
        found = plan("after = 700", event="end", ended=NOW)
        assert [each.request.time_limit for each in found.captures] == [233, 233, 234]
        assert found.captures[-1].not_before == NOW + timedelta(seconds=700)

    def test_no_capture_if_the_rule_says_so_or_packets_are_gone(self):
        assert plan("after = 0", event="end").captures == ()
        old = plan(event="end", ended=NOW - timedelta(hours=24))
        assert old.captures == ()
        assert "no longer keeps" in old.remarks[0]


class TestNothing:
    def test_a_rule_can_switch_captures_off(self):
        found = plan("capture = false")
        assert (found.captures, found.filter) == ((), None)
        assert found.reason == "no captures: the rule says capture = false"

    def test_news_that_is_neither_start_nor_end(self):
        found = plan(event="other", colos=("ZRH",))
        assert found.captures == ()
        assert "neither a start nor an end" in found.reason

    def test_a_target_that_no_packet_at_the_edge_has(self):
        found = plan(targets=("127.0.0.1",))
        assert found.captures == ()
        assert "127.0.0.1, which no packet at the edge carries" in found.reason

    def test_no_target_and_no_filter_in_the_rule(self):
        found = plan(targets=())
        assert found.captures == ()
        assert "filter = {} would take everything" in found.reason

    def test_the_reason_names_the_labels_that_were_there(self):
        labels = {"alertname": "DDoS", "job": "flow", "victim_name": "web-1"}
        found = plan(targets=(), labels=labels, local_targets=("10.0.0.5",))
        assert found.reason == (
            "no captures: the alert names no target: 10.0.0.5 is a private address "
            "(its labels are alertname, job, victim_name), "
            "and the rule has no filter; filter = {} would take everything"
        )

    def test_a_reason_names_a_dozen_labels_at_most(self):
        found = plan(targets=(), labels={f"label_{number:02}": "x" for number in range(20)})
        assert "label_11 and 8 more)" in found.reason
        assert "label_12" not in found.reason

    def test_a_rule_says_in_its_own_words_why_it_captures_nothing(self):
        assert plan('capture = false\nreason = "a test"').reason == "no captures: a test"

    def test_a_start_without_any_capture_opens_nothing(self):
        """Without a data centre there is no full capture, and nothing follows at the end."""
        found = plan("before = 0\nafter = 0")
        assert (found.captures, found.filter) == ((), None)
        assert (
            found.reason == "no captures: no full capture: neither the alert nor the rule names a data centre"
        )
        assert plan("before = 0\nafter = 60").filter is not None


class TestLocalTargets:
    """Private, loopback, link-local, multicast and broadcast addresses of a host's label or of a title."""

    @pytest.mark.parametrize(
        "address", ["10.0.0.5", "127.0.0.1", "169.254.1.1", "224.0.0.5", "255.255.255.255"]
    )
    def test_they_are_targets_only_if_the_rule_says_so(self, address):
        asked = {"targets": (), "local_targets": (address,), "target_port": None}
        assert plan(**asked).captures == ()
        found = plan("local_targets = true", **asked)
        assert found.filter == Filter(destination_address=address, protocol=6)
        assert found.captures
        assert found.about == address

    def test_a_target_goes_before_them(self):
        found = plan("local_targets = true", local_targets=("10.0.0.5",))
        assert found.filter.destination_address == "203.0.113.7"


class TestBuiltInRules:
    @pytest.mark.parametrize("kind", ["dos_attack_l7", "advanced_ddos_attack_l7_alert"])
    def test_an_attack_on_http_takes_none_and_says_why(self, kind):
        found = decide(alert(kind=kind, targets=()), Policy())
        assert found.captures == ()
        assert "ends at Cloudflare's proxy, where packet captures see nothing" in found.reason

    def test_other_notifications_say_that_they_are_no_attack(self):
        found = decide(alert(kind="universal_ssl_event_type", targets=()), Policy())
        assert found.reason == "no captures: the notification is not about an attack"

    def test_an_announcement_starts_the_full_captures_of_its_rule(self):
        """There was nothing at the edge before, so nothing looks back."""
        announced = {"kind": "fbm_auto_advertisement", "targets": ("203.0.113.0/24",), "colos": ()}
        found = decide(alert(**announced), Policy())
        assert (found.captures, found.rule) == ((), "built-in: cloudflare announces prefixes")
        assert "neither the alert nor the rule names a data centre" in found.reason
        mine = policy('before = 0\nafter = 0\nduring = { seconds = 30, colos = ["FRA"] }')
        assert phases(decide(alert(**announced), mine)) == [("during", 1)]


class TestExpression:
    def test_every_capture_carries_it_beside_the_alert_s_own_filter(self):
        table = 'expression = "src port 53 and less 100"\nduring = { colos = ["ORD"] }'
        found = plan(table, protocol=17, target_port=None)
        assert len(found.captures) == 2
        for each in found.captures:
            assert each.request.expression == "src port 53 and less 100"
            assert each.request.filter == found.filter
            # With the alert's protocol, the port can go to the API.
            assert request_body(each.request)["filter_v1"] == {
                "destination_address": "203.0.113.7",
                "source_port": 53,
                "protocol": 17,
            }
            assert residual(each.request, Bounds()) == found.residual == "less 100"
        after = plan(table, event="end", protocol=17, target_port=None).captures
        assert [each.request.expression for each in after] == ["src port 53 and less 100"]

    def test_without_an_expression_nothing_is_narrowed(self):
        found = plan()
        assert (found.expression, found.residual) == ("", "")
        assert {each.request.expression for each in found.captures} == {""}

    def test_a_contradicting_expression_is_left_out_with_a_reason(self):
        found = plan('expression = "udp"')
        assert (found.expression, found.residual) == ("", "")
        assert found.captures
        assert {each.request.expression for each in found.captures} == {""}
        assert found.filter_reasons[-1] == (
            "without the rule's expression, udp: no packet can match: "
            "protocol is tcp, and the expression asks for udp"
        )

    def test_it_narrows_the_rule_s_filter_if_the_alert_has_no_target(self):
        found = plan('filter = { protocol = 17 }\nexpression = "src port 53"', targets=())
        assert found.captures[0].request.filter == Filter(protocol=17)
        assert (found.expression, found.residual) == ("src port 53", "")

    def test_an_expression_adds_no_captures(self):
        assert plan('expression = "udp"', targets=()).captures == ()

    def test_a_plan_from_before_expressions_can_be_read(self):
        written = plan().model_dump(mode="json")
        for name in ("expression", "residual"):
            del written[name]
        for each in written["captures"]:
            del each["request"]["expression"]
        assert Plan.model_validate(written) == plan()


class TestFilter:
    def test_target_port_and_protocol_each_with_its_reason(self):
        found = plan()
        assert found.filter == Filter(destination_address="203.0.113.7", destination_port=443, protocol=6)
        assert found.filter_reasons == (
            "to 203.0.113.7: the alert's target",
            "port 443: the alert's target port",
            "protocol TCP: the alert's",
        )
        assert all(each.request.filter == found.filter for each in found.captures)

    def test_without_a_target_the_rules_filter_counts_unchanged(self):
        found = plan("filter = { protocol = 47 }", targets=())
        assert found.filter == Filter(protocol=47)
        assert found.filter_reasons == ("the alert names no target, so the rule's filter counts: gre",)
        assert plan("filter = {}", targets=()).filter == Filter()

    def test_with_a_target_the_rule_s_filter_does_not_count(self):
        assert plan("filter = { protocol = 47 }").filter.protocol == 6

    def test_what_the_api_cannot_filter_is_applied_after_the_download(self):
        found = plan(targets=("2001:db8::7",), colos=("ZRH",))
        assert found.filter == Filter(destination_port=443, protocol=6)
        assert found.filter_reasons[0] == (
            "to 2001:db8::7: the API's filters are documented for IPv4 only, "
            "so other packets are left out after the download"
        )
        assert phases(found) == [("before", 1), ("during", 1)]
        assert {each.request.expression for each in found.captures} == {"dst host 2001:db8::7"}
        assert found.residual == "dst host 2001:db8::7"

    @pytest.mark.parametrize(
        ("targets", "expression"),
        [
            (("203.0.113.0/24",), "dst net 203.0.113.0/24"),
            (("203.0.113.7", "203.0.113.9"), "dst host 203.0.113.7 or dst host 203.0.113.9"),
            (("203.0.113.8", "203.0.113.9"), "dst net 203.0.113.8/31"),
            (("203.0.113.7", "2001:db8::/64"), "dst host 203.0.113.7 or dst net 2001:db8::/64"),
        ],
    )
    def test_networks_and_lists_are_one_capture_with_an_exact_rest(self, targets, expression):
        found = plan(targets=targets, target_port=None, protocol=17)
        assert found.filter == Filter(protocol=17)
        assert found.residual == expression
        assert phases(found) == [("before", 1)]

    def test_very_many_targets_are_the_networks_around_them(self):
        targets = tuple(f"203.0.113.{number}" for number in range(1, 255, 2))
        far = tuple(f"198.51.{number}.1" for number in range(0, 100, 3))
        assert plan(targets=targets + far).residual == "dst net 192.0.0.0/4"
        assert plan(targets=targets + targets[:9]).residual.count("dst host") == 127

    def test_a_rule_s_expression_narrows_the_rest(self):
        found = plan('expression = "less 100"', targets=("203.0.113.0/24",))
        assert found.expression == "(dst net 203.0.113.0/24) and (less 100)"
        assert "less 100" in found.residual
        contradicted = plan('expression = "udp"', targets=("203.0.113.0/24",))
        assert contradicted.residual == "dst net 203.0.113.0/24"
        assert "without the rule's expression" in contradicted.filter_reasons[-1]

    def test_an_account_that_takes_ipv6_or_networks_gets_them(self):
        assert plan(targets=("2001:db8::7",), bounds=Bounds(ipv6_filters=True)).filter.destination_address
        network = plan(targets=("203.0.113.0/24",), bounds=Bounds(cidr_filters=True)).filter
        assert network.destination_address == "203.0.113.0/24"

    def test_a_port_means_nothing_to_a_protocol_without_ports(self):
        found = plan(protocol=47)
        assert found.filter == Filter(destination_address="203.0.113.7", protocol=47)
        assert "no port: the alert names 443, but protocol 47 has none" in found.filter_reasons

    def test_an_outgoing_attack_is_filtered_by_its_source(self):
        found = plan(targets=(), source_addresses=("203.0.113.71",), target_port=None)
        assert found.filter == Filter(source_address="203.0.113.71", protocol=6)

    def test_senders_do_not_narrow_a_filter_by_target(self):
        assert plan(source_addresses=("198.51.100.1",)).filter.source_address is None


class TestWindows:
    @pytest.mark.parametrize(
        ("before", "ago", "lengths", "first"),
        [
            (240, 60, [300], (-300, 0)),
            (240, 61, [150, 151], (-151, 0)),
            (60, 0, [60], (-60, 0)),
            (900, 30, [232, 233, 232, 233], (-233, 0)),
            (240, 3600, [240, 240], (-3840, -3600)),
            (3600, 7200, [300] * 24, (-7500, -7200)),
        ],
    )
    def test_tiles_are_equal_and_gapless_and_the_latest_is_first(self, before, ago, lengths, first):
        found = plan(f"before = {before}", started=NOW - timedelta(seconds=ago)).captures
        by_time = sorted(found, key=lambda each: each.number)
        assert [each.request.time_limit for each in by_time] == lengths
        edges = [
            (each.request.offset_time - timedelta(seconds=each.request.time_limit), each.request.offset_time)
            for each in by_time
        ]
        assert edges[0][0] == NOW - timedelta(seconds=ago + before)
        assert all(one[1] == two[0] for one, two in itertools.pairwise(edges))
        ends = found[0].request.offset_time
        begins = ends - timedelta(seconds=found[0].request.time_limit)
        assert (begins, ends) == tuple(NOW + timedelta(seconds=second) for second in first)

    def test_an_alert_without_a_start_time_begins_at_its_arrival(self):
        found = plan("before = 100", started=None)
        assert found.captures[0].request.offset_time == NOW
        assert "has no start time" in found.remarks[0]

    def test_a_start_in_the_future_counts_as_now(self):
        found = plan("before = 100", started=NOW + timedelta(minutes=5))
        assert found.captures[0].request.offset_time == NOW
        assert "in the future" in found.remarks[0]

    @pytest.mark.parametrize("during", ["", 'during = { seconds = 60, colos = ["ORD"] }'])
    def test_nothing_is_captured_of_an_attack_that_began_too_long_ago(self, during):
        found = plan(f"before = 100\n{during}", started=NOW - timedelta(hours=25))
        assert (found.captures, found.filter) == ((), None)
        assert found.reason == (
            "no captures: the attack began 2026-11-22 05:32:00 UTC, "
            "and Cloudflare no longer keeps packets from then"
        )

    def test_a_window_that_is_partly_gone_is_cut(self):
        oldest = NOW - timedelta(hours=23, minutes=30)
        found = plan("before = 600", started=oldest + timedelta(seconds=60))
        begins = min(
            each.request.offset_time - timedelta(seconds=each.request.time_limit) for each in found.captures
        )
        assert begins == oldest
        assert "left out" in found.remarks[0]

    def test_a_shorter_bound_makes_more_tiles(self):
        found = plan("before = 240", bounds=Bounds(simple_time_limit=100))
        assert [each.request.time_limit for each in found.captures] == [100, 100, 100]

    @given(
        seconds=st.integers(0, 5000),
        longest=st.integers(1, 300),
        begins=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    )
    def test_tiles_cover_exactly_the_requested_time(self, seconds, longest, begins):
        ends = begins + timedelta(seconds=seconds)
        tiles = windows.tile(begins, ends, longest)
        assert sum(each.seconds for each in tiles) == seconds
        assert all(1 <= each.seconds <= longest for each in tiles)
        assert len(tiles) == -(-seconds // longest)
        assert (
            max((each.seconds for each in tiles), default=0)
            - min((each.seconds for each in tiles), default=0)
            <= 1
        )
        for one, two in itertools.pairwise(tiles):
            assert one.ends == two.begins
        if tiles:
            assert tiles[0].begins == begins.replace(microsecond=0)


class TestPlan:
    def test_the_same_alert_gives_the_same_plan_at_any_time(self):
        assert plan() == plan()
        assert plan().model_dump_json() == plan().model_dump_json()

    def test_now_can_be_later_than_the_arrival(self):
        assert plan("before = 100", started=None, now=NOW + timedelta(hours=1)).captures[
            0
        ].request.offset_time == (NOW + timedelta(seconds=100))

    def test_it_survives_json_as_run_parameters_do(self):
        found = plan('during = { colos = ["ORD"] }')
        assert Plan.model_validate_json(found.model_dump_json()) == found

    def test_it_names_what_the_executor_must_keep(self):
        found = plan("cooldown = 5\ndaily_budget = 6\npreempt = true")
        assert (found.cooldown, found.daily_budget, found.preempt) == (5, 6, True)
        assert (found.identity, found.incident, found.rule) == ("1" * 32, "2" * 32, "mine")

    @pytest.mark.parametrize(
        ("changes", "about"),
        [
            ({}, "203.0.113.7"),
            ({"targets": ("203.0.113.9", "203.0.113.10")}, "203.0.113.10,203.0.113.9"),
            ({"targets": (), "source_addresses": ("203.0.113.7",)}, "203.0.113.7"),
            ({"targets": ()}, "cloudflare dos_attack_l4"),
        ],
    )
    def test_the_cooldown_applies_to_the_target(self, changes, about):
        assert plan(**changes).about == about

    def test_it_explains_itself(self):
        found = plan(
            'during = { colos = ["ORD"] }\npreempt = true', notes=("data.x 'y' is not a valid port; ignored",)
        )
        assert found.explain() == (
            "alert     cloudflare dos_attack_l4 start high 203.0.113.7:443\n"
            "rule      mine\n"
            "decision  captures: 1 before, 1 during\n"
            "filter    tcp 203.0.113.7:443\n"
            "          to 203.0.113.7: the alert's target\n"
            "          port 443: the alert's target port\n"
            "          protocol TCP: the alert's\n"
            "before  1 simple 300s tcp 203.0.113.7:443: 06:27:00 to 06:32:00 UTC: "
            "packets from before the alert, of all data centres\n"
            "during  1 full ORD tcp 203.0.113.7:443: every packet for 60 s, whole; the rule names ORD\n"
            "limits    600 s cooldown for 203.0.113.7, 50 captures a day, stops scheduled full captures\n"
            "note      data.x 'y' is not a valid port; ignored\n"
            "note      when it ends, the 60 s that follow are captured"
        )

    def test_it_explains_what_an_expression_narrows(self):
        explained = plan('expression = """\ngreater 100\n  and less 900"""').explain().splitlines()
        assert explained[3:9] == [
            "filter    tcp 203.0.113.7:443",
            "          to 203.0.113.7: the alert's target",
            "          port 443: the alert's target port",
            "          protocol TCP: the alert's",
            (
                "          the rule's expression, greater 100 and less 900: with it, the API is asked for "
                "tcp 203.0.113.7:443"
            ),
            "residual  greater 100 and less 900: applied after the download",
        ]
        assert explained[9].startswith(
            "before  1 simple 300s tcp 203.0.113.7:443 and greater 100 and less 900: 06:27:00"
        )

    def test_the_plan_names_a_built_in_rule_as_such(self):
        assert "rule      built-in: cloudflare attacks (built in)" in decide(alert(), Policy()).explain()
