"""What follows from an alert: which captures, which filter, and that the plan says why."""

from datetime import timedelta

import pytest

from edgecap.alerts.policy.decision import Plan, Policy, decide
from edgecap.requests import Filter
from tests.edgecap.alerts.policy.decided import NOW, alert, phases, plan, policy


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


class TestChosenPlaces:
    """Unless the rule or the alert says otherwise, the run chooses the data centres."""

    @pytest.mark.parametrize(
        "table", ["during = {}", 'during = { colos = "auto" }', 'during = { colos = ["AUTO"] }']
    )
    def test_without_a_name_one_capture_may_become_three(self, table):
        found = plan(table)
        assert phases(found) == [("before", 1), ("during", 1)]
        assert found.captures[1].request.colo == "auto"
        assert (found.captures[1].most, found.captures[1].awaits_place) == (3, True)
        assert found.reason == "captures: 1 before, up to 3 during"
        assert found.places == ()

    def test_what_the_alert_names_counts_alone(self):
        found = plan('during = { colos = ["auto", "ORD"] }', colos=("ZRH",))
        assert [each.request.colo for each in found.captures[1:]] == ["ZRH"]
        assert found.captures[1].most == 1

    def test_other_names_of_the_rule_are_for_want_of_better(self):
        found = plan('during = { colos = ["auto", "ORD", "AMS"] }')
        assert [each.request.colo for each in found.captures[1:]] == ["auto"]
        assert found.places == ("ORD", "AMS")

    def test_an_empty_list_means_none(self):
        assert phases(plan("during = { colos = [] }")) == [("before", 1)]

    def test_the_built_in_rules_capture_every_attack(self):
        for kind in ("dos_attack_l4", "fbm_volumetric_attack", "advanced_ddos_attack_l4_alert"):
            assert ("during", 1) in phases(decide(alert(kind=kind), Policy()))
        assert ("during", 1) in phases(decide(alert(source="generic", kind="any"), Policy()))

    def test_it_survives_json_as_run_parameters_do(self):
        found = plan('during = { colos = ["auto", "ORD"] }')
        assert Plan.model_validate(found.model_dump(mode="json")) == found


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
        assert (phases(found), found.rule) == ([("during", 1)], "built-in: cloudflare announces prefixes")
        mine = policy('before = 0\nafter = 0\nduring = { seconds = 30, colos = ["FRA"] }')
        assert phases(decide(alert(**announced), mine)) == [("during", 1)]


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
            "limits    600 s cooldown for 203.0.113.7, 100 captures a day, stops scheduled full captures\n"
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
