"""Which packets the captures of an alert select, and what is left for after the download."""

import pytest

from edgecap.alerts.policy.decision import Plan
from edgecap.captures.body import request_body
from edgecap.filters.of_request import residual
from edgecap.requests import Bounds, Filter
from tests.edgecap.alerts.policy.decided import phases, plan


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

    @pytest.mark.parametrize(
        ("target", "kind"),
        [
            ("127.0.0.1", "which no packet at the edge carries; test alerts have it"),
            ("fe80::1", "a link-local address, which no packet at the edge carries"),
            ("224.0.0.5", "a multicast address, which"),
            ("255.255.255.255", "the broadcast address, which"),
        ],
    )
    def test_what_never_reaches_the_edge_is_not_captured(self, target, kind):
        found = plan(targets=(target,), target_port=None)
        assert found.captures == ()
        assert f"the target is {target}, {kind}" in found.reason
        assert plan("local_targets = true", targets=(target,), target_port=None).captures

    def test_a_private_target_may_come_by_a_tunnel(self):
        assert plan(targets=("10.0.0.5",)).captures

    def test_senders_do_not_narrow_a_filter_by_target(self):
        assert plan(source_addresses=("198.51.100.1",)).filter.source_address is None


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
