"""Verdicts on captures whose truth is known: `make bench-verdict` in short, and what went wrong once."""

from random import Random

import pytest

from edgecap.archive.baseline import usual_of
from edgecap.packets.summarize import judged
from edgecap.packets.verdict.conditions import conditions_of
from edgecap.packets.verdict.judge import judge
from edgecap.requests import Filter
from edgecap.simulator.corpus import attacks, services
from edgecap.simulator.corpus.attacks import ATTACKS, Attack
from edgecap.simulator.corpus.build import Spec, build, summarized
from edgecap.simulator.corpus.hosts import Host, population, target
from edgecap.simulator.corpus.services import SERVICES
from edgecap.simulator.traffic.payloads import timestamps

HOST = Host(bytes([203, 0, 113, 7]), 62)
CLIENT = Host(bytes([198, 51, 100, 9]), 57)


def kinds(summary):
    return [(each.kind, each.service) for each in summary.vectors]


def summary_of(made, **conditions):
    wanted = conditions_of(**conditions)
    return summarized(sorted(made, key=lambda each: each.time), wanted, 400 if wanted.sampled else 1)


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_is_found_beside_ordinary_service(name):
    made = build(Spec(202, ("upload",), attack=name, strength=1_500, both_ways=True, baseline=2))
    summary = made.summary
    usual = usual_of([(str(at), each) for at, each in enumerate(made.before)], summary, "target")
    summary = judged(summary, usual.baseline, usual.evidence)
    assert (ATTACKS[name].vector, ATTACKS[name].service) in kinds(summary), summary.verdict


@pytest.mark.parametrize("sampling", [1, 100])
@pytest.mark.parametrize("wanted", ["", "target", "port"])
@pytest.mark.parametrize("service", SERVICES)
def test_ordinary_service_is_never_called_likely(service, wanted, sampling):
    made = build(Spec(303, (service,), sampling=sampling, filter=wanted, both_ways=not wanted))
    assert made.summary.strength == "nothing", made.summary.verdict


@pytest.mark.parametrize("service", ["quic", "vpn", "voip", "game", "name_server"])
def test_a_server_that_does_what_it_always_does_is_nothing(service):
    """Also where its packets alone would look like an attack: the signs of a flood are taken away."""
    made = build(Spec(303, (service,), sampling=100, filter="target", baseline=3))
    usual = usual_of([(str(at), each) for at, each in enumerate(made.before)], made.summary, "target")
    summary = judged(made.summary, usual.baseline, usual.evidence)
    assert summary.strength == "nothing"
    assert "beside the 3 captures with its filter, taken an hour or more before it" in summary.verdict


def test_a_flood_to_a_game_server_is_found_by_its_rate():
    """Bots that send to the right port: little but the rate tells them from players."""
    spec = Spec(
        304, ("game",), sampling=100, filter="port", attack="udp-one-port", strength=10_000, baseline=3
    )
    made = build(spec)
    usual = usual_of([(str(at), each) for at, each in enumerate(made.before)], made.summary, "target")
    summary = judged(made.summary, usual.baseline, usual.evidence)
    (vector,) = [each for each in summary.vectors if each.kind == "udp-flood"]
    assert vector.strength == "likely"
    assert vector.usual is not None
    assert vector.rate.low > 2 * vector.usual.high


def test_connections_of_one_source_are_found_in_samples():
    """Each connection shows one packet of a few bytes; there are hundreds, all alike, of one source."""
    spec = Spec(306, ("web",), sampling=1_000, attack="low-and-slow", strength=1_000)
    (vector,) = [each for each in build(spec).summary.vectors if each.kind == "low-and-slow"]
    assert vector.strength == "likely"
    assert {each.name for each in vector.signs} == {"many-of-one", "one-size"}


@pytest.mark.parametrize("clients", [1, 400], ids=["of-one-gateway", "of-many"])
def test_devices_that_keep_connections_are_no_low_and_slow_attack(clients):
    """Samples of MQTT: short messages, of several sizes."""
    rng = Random(7)
    hosts = population(rng, clients)
    made = []
    for _ in range(600):
        said = services.payload(rng.choice((2, 10, 14, 25, 40)))
        frame = rng.choice(hosts).to(HOST).tcp(rng.randrange(1_024, 65_536), 8_883, 1, 1, 0x18, payload=said)
        made.append(services.Made(rng.random() * 60, frame, True, 6, 8_883))
    assert summary_of(made, sampled=True).strength == "nothing"


class TestTimestamps:
    """Linux and Apple's systems send timestamps in each segment, if the server does."""

    @staticmethod
    def acknowledgements(count, *, options):
        rng = Random(8)
        stamps = timestamps(5) if options else services.payload(0)
        return [
            services.Made(
                rng.random() * 60,
                Host(each.address, 52)
                .to(HOST)
                .tcp(rng.randrange(32_768, 61_000), 443, 1, 1, 0x10, options=stamps),
                True,
                6,
                443,
            )
            for each in population(rng, count)
        ]

    def signs(self, made):
        (vector,) = [each for each in summary_of(made, sampled=True).vectors if each.kind == "tcp-ack-flood"]
        return {each.name: each.weight for each in vector.signs}

    def test_segments_without_them_beside_those_with_them_are_a_flood(self):
        made = self.acknowledgements(400, options=True) + self.acknowledgements(600, options=False)
        assert self.signs(made)["no-timestamps"] == 2

    def test_servers_of_a_client_that_do_without_them_are_no_flood(self):
        """Each server decides for itself whether it agrees with the client."""
        rng = Random(11)
        made = []
        for at, server in enumerate(population(rng, 400)):
            stamps = timestamps(5) if at % 3 == 0 else services.payload(0)
            route = Host(server.address, rng.randrange(40, 60)).to(HOST)
            for _ in range(3):
                ports = 443, rng.randrange(32_768, 61_000)
                frame = route.tcp(*ports, 1, 1, 0x18, options=stamps, payload=services.payload(900))
                made.append(services.Made(rng.random() * 60, frame, True, 6, ports[1]))
        assert summary_of(made, sampled=True).strength == "nothing"

    def test_a_server_that_never_has_them_is_no_flood(self):
        """Of Windows, by default: nobody's segments have options. A few connections begin and end."""
        rng = Random(9)
        host = Host(bytes([203, 0, 113, 5]), 62)
        made = []
        for client in population(rng, 400):
            made += services.download(rng, rng.random() * 30, client, host)
        kept = rng.sample([each for each in made if each.inbound], 1_500)
        assert summary_of(kept, sampled=True).strength == "nothing"


def test_packets_from_any_port_to_any_port_are_no_connections():
    """A server's clients come from any port to its own; a client's answers from a server's port to any."""
    rng = Random(10)

    def judged_(source_port, destination_port):
        made = []
        for client in population(rng, 800):
            ports = source_port or rng.randrange(1, 65_536), destination_port or rng.randrange(1, 65_536)
            frame = Host(client.address, 120).to(HOST).tcp(*ports, 1, 1, 0x10)
            made.append(services.Made(rng.random() * 60, frame, True, 6, ports[1]))
        return {sign.name for each in summary_of(made, sampled=True).vectors for sign in each.signs}

    assert "any-port" in judged_(0, 0)
    assert "any-port" not in judged_(0, 443)
    assert "any-port" not in judged_(443, 0)


class TestWhatWentWrongOnce:
    def test_a_server_in_a_prefix_under_attack_is_compared_with_itself(self):
        """Before the attack its packets made no prefix, so they were as many as never before."""
        spec = Spec(
            305, ("web",), sampling=1_000, filter="target", attack="carpet-udp", strength=3_000, baseline=3
        )
        made = build(spec)
        usual = usual_of([(str(at), each) for at, each in enumerate(made.before)], made.summary, "target")
        summary = judged(made.summary, usual.baseline, usual.evidence)
        assert kinds(summary) == [("udp-flood", "")]

    def test_connections_of_one_source_are_told_once(self):
        """Not as a flood of data and one of SYNs as well, though both are more than usual."""
        spec = Spec(
            305, ("web",), sampling=1_000, filter="target", attack="low-and-slow", strength=3_000, baseline=3
        )
        made = build(spec)
        usual = usual_of([(str(at), each) for at, each in enumerate(made.before)], made.summary, "target")
        summary = judged(made.summary, usual.baseline, usual.evidence)
        assert kinds(summary) == [("low-and-slow", "")]

    def test_a_scan_of_one_address_has_no_usual_rate(self):
        made = build(Spec(305, ("web",), attack="syn-scan", strength=1_000, filter="target"))
        assert "usual rate" not in made.summary.verdict
        (vector,) = made.summary.vectors
        assert "it tries 1 address and 1,000 ports" in vector.evidence

    def test_samples_of_a_download_are_no_ack_flood(self):
        made = build(Spec(305, ("download",), ordinary=2_000, sampling=100, filter="target"))
        assert made.summary.strength == "nothing"

    def test_a_filter_alone_makes_no_attack(self):
        """A quiet capture of everything, of which a filter lets one kind of packets through."""
        rng = Random(1)
        clients = population(rng, 300)
        made = []
        for service in ("web", "name_server", "monitoring", "game"):
            for _ in range(60):
                made += SERVICES[service](rng, rng.random() * 30, rng.choice(clients), HOST)
        assert summary_of(made).strength == "nothing"
        for protocol, expression in ((6, "tcp"), (17, "udp"), (1, "icmp")):
            kept = [each for each in made if each.protocol == protocol]
            assert len(kept) > 100
            assert summary_of(kept, expression=expression).strength == "nothing"
            fields = Filter(protocol=protocol, destination_address="203.0.113.7")
            inbound = [each for each in kept if each.inbound]
            assert summary_of(inbound, fields=fields).strength == "nothing"
        asked = [each for each in made if each.protocol == 6 and each.frame[47] & 0x3F == 2]
        assert len(asked) >= 60
        again = [each._replace(time=each.time + 30) for each in asked]
        assert summary_of(asked + again, expression="tcp[13] = 2").strength == "nothing"

    def test_questions_and_answers_in_balance_are_no_amplification(self):
        rng = Random(2)
        made = []
        for client in population(rng, 100):
            made += services.name_server(rng, rng.random() * 30, client, HOST)
        assert summary_of(made).strength == "nothing"

    def test_a_session_of_a_service_that_reflection_abuses_is_none(self):
        rng = Random(3)
        turns = [(at % 2 == 0, services.payload(80 if at % 2 == 0 else 1_250)) for at in range(600)]
        made = services.exchange(rng, 0.0, CLIENT, HOST, (51_000, 3_389), turns, gap=0.05)
        assert summary_of(made).strength == "nothing"

    @pytest.mark.parametrize("flags", [0x12, 0x14], ids=["accepts", "refuses"])
    def test_who_answers_is_not_the_scanner(self, flags):
        """Only the answers to 300 connections, each to another port, and the questions behind them."""
        made = []
        for at in range(300):
            ports = (32_768 + at, 389)
            made.append(services.Made(at / 10, CLIENT.to(HOST).tcp(*ports, 1, 0, 2), True, 6, 389))
            answer = HOST.to(CLIENT).tcp(*ports[::-1], 1, 2, flags)
            made.append(services.Made(at / 10 + 0.01, answer, False, 6, 389))
        assert "203.0.113.7" not in {each.source for each in summary_of(made).vectors}
        only_answers = [each for each in made if not each.inbound]
        assert "203.0.113.7" not in {each.source for each in summary_of(only_answers).vectors}

    def test_a_udp_server_that_answers_many_ports_does_not_scan_them(self):
        made = []
        for at in range(300):
            turns = [(True, services.payload(40)), (False, services.payload(90))]
            made += services.exchange(
                Random(at), at / 10, CLIENT, HOST, (32_768 + at, 9_999), turns, gap=0.01
            )
        assert summary_of(made).strength == "nothing"

    def test_long_answers_that_were_asked_for_are_no_amplification(self):
        rng = Random(2)
        made = []
        for server in population(rng, 200):
            said = services.query("example.net"), services.query("example.net", answer=True, size=1_300)
            made += services.exchange(
                rng,
                rng.random() * 30,
                server,
                HOST,
                (53, 40_000),
                [(False, said[0]), (True, said[1])],
                gap=0.01,
            )
        assert summary_of(made).strength == "nothing"
        unasked = [each for each in made if each.inbound]
        assert kinds(summary_of(unasked)) == [("amplification", "dns")]

    def test_all_syn_and_syn_ack_to_one_address_is_a_reflection(self):
        attack = Attack(Random(4), HOST, 60)
        made = [each for _ in range(400) for each in ATTACKS["syn-ack-reflection"].event(attack)]
        noise = [
            services.Made(at / 2, each.to(HOST).tcp(40_000, 9_069, 1, 0, 2), True, 6, 9_069)
            for at, each in enumerate(population(Random(5), 100))
        ]
        first = summary_of(made + noise).vectors[0]
        assert (first.kind, first.target) == ("syn-ack-reflection", "203.0.113.7")

    def test_bacnet_is_named_with_what_comes_from_its_port(self):
        attack = Attack(Random(6), HOST, 60)
        attack.reflected_to = 30_120
        made = [each for _ in range(900) for each in attacks.amplified(47_808, 90, 140)(attack)]
        made += [each for _ in range(300) for each in attacks.amplified(37_810, 500, 900)(attack)]
        summary = summary_of(made)
        assert kinds(summary)[:2] == [("amplification", "bacnet"), ("amplification", "dvr dhcpdiscover")]
        assert summary.vectors[0].packets == 900
        assert 0.7 < summary.vectors[0].share.value < 0.8

    def test_multicast_groups_are_not_scanned(self):
        made = [
            services.Made(
                at / 10,
                attacks.other(CLIENT, Host(bytes([239, 1, at // 250, 1 + at % 250]), 1), 2, 8),
                True,
                2,
                0,
            )
            for at in range(400)
        ]
        assert summary_of(made).strength == "nothing"


class TestWords:
    def test_a_mixed_attack_has_a_vector_each(self):
        attack = Attack(Random(7), target(Random(7)), 60)
        made = [
            each
            for name in ("syn-flood", "ntp-amplification")
            for _ in range(800)
            for each in ATTACKS[name].event(attack)
        ]
        summary = summary_of([each for each in made if each.inbound])
        assert {each.kind for each in summary.vectors} == {"syn-flood", "amplification"}
        assert all(0.3 < each.share.value < 0.7 for each in summary.vectors)

    def test_rates_of_samples_carry_their_interval_and_the_filter(self):
        attack = Attack(Random(8), HOST, 60)
        made = [each for _ in range(2_000) for each in ATTACKS["ntp-amplification"].event(attack)]
        known = summary_of(made, sampled=True, sampling=1_000, expression="udp")
        assert known.vectors[0].rate.low < known.vectors[0].rate.value < known.vectors[0].rate.high
        assert " packets/s (95 %)" in known.verdict
        assert known.verdict.endswith("; its usual rate is not known (capture filter: udp).")
        unknown = summary_of(made, sampled=True)
        assert " sampled packets/s (95 %)" in unknown.verdict
        assert any("not known" in line for line in unknown.caveats)

    def test_a_filter_is_told_in_words_that_need_no_explanation(self):
        """ "Of what '203.0.113.7' lets through" read as if the host let packets through."""
        attack = Attack(Random(8), HOST, 60)
        made = [each for _ in range(2_000) for each in ATTACKS["ntp-amplification"].event(attack)]
        conditions = conditions_of(fields=Filter(destination_address="203.0.113.7", source_port=123))
        found = judge(summary_of(made).evidence, conditions)
        assert found.line.endswith(" (capture filter: from port 123 to 203.0.113.7).")
        assert found.caveats[0] == (
            "The capture filter selects packets by destination, protocol and source port, so shares of that "
            "are no sign of an attack."
        )
        assert judge(summary_of([]).evidence, conditions).line == (
            "No packets (capture filter: from port 123 to 203.0.113.7)."
        )

    def test_the_verdict_is_a_function_of_the_evidence(self):
        attack = Attack(Random(9), HOST, 60)
        summary = summary_of([each for _ in range(500) for each in ATTACKS["xmas-flood"].event(attack)])
        again = judge(summary.evidence, summary.conditions)
        assert (again.vectors, again.strength) == (summary.vectors, summary.strength)
