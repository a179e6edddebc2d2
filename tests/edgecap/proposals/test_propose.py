"""From captures to filters: which are found, how they are proven, and when there is none."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.filters.bpf import Program
from edgecap.proposals.capture_source import CaptureSource
from edgecap.proposals.model import proposals_schema
from edgecap.proposals.propose import Question, propose
from edgecap.proposals.text import lines
from tests.edgecap.packets.summaries import summary_of
from tests.edgecap.proposals import traffic

DOCS = Path(__file__).parents[3] / "docs"
ATTACKS = {
    "ntp": traffic.ntp_answer,
    "syn": traffic.bare_syn,
    "fragments": traffic.later_fragment,
    "payload": traffic.one_payload,
    "sources": traffic.few_sources,
    "ping": traffic.ping,
    "carpet": traffic.carpet,
}


def source(path, **more):
    return CaptureSource(path.name, (path,), **more)


@pytest.fixture
def compare(tmp_path):
    """Proposals against an attack of some kinds, compared with so many ordinary packets."""

    def compared(*kinds, baseline=6000, seconds=60, baseline_seconds=240, **more):
        attack = traffic.write(tmp_path / "attack.pcap", traffic.mixed(kinds, **more), seconds=seconds)
        usual = traffic.write(
            tmp_path / "usual.pcap",
            traffic.usual(baseline),
            start=traffic.START - 900,
            seconds=baseline_seconds,
        )
        return propose(Question([source(attack)], [source(usual)] if baseline else []))

    return compared


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_a_filter_that_is_proven(name, compare):
    found = compare(ATTACKS[name])
    (proposal,) = found.proposals
    assert proposal.grade == "proven", proposal
    assert proposal.proof.attack_share > 0.97
    assert proposal.proof.baseline.high <= 0.005
    assert {form.name for form in proposal.forms if form.text} >= {"tcpdump", "nftables"}


def test_the_filter_is_small_and_says_what_the_attack_is(compare):
    assert compare(traffic.ntp_answer).proposals[0].filter == "IPv4 UDP from port 123 to 203.0.113.7"
    assert compare(traffic.later_fragment).proposals[0].filter == "IPv4 UDP later fragments to 203.0.113.7"
    assert compare(traffic.carpet).proposals[0].filter == "IPv4 UDP from port 53 to 203.0.113.0/24"
    assert "to 203.0.113.7 of type 8 (echo request)" in compare(traffic.ping).proposals[0].filter
    assert "payload that begins with 0xdeadbeef" in compare(traffic.one_payload).proposals[0].filter
    assert "from 192.0.2.1, 192.0.2.2" in compare(traffic.few_sources).proposals[0].filter


def test_a_mixed_attack_is_split_into_its_vectors(compare):
    found = compare(traffic.ntp_answer, traffic.bare_syn, traffic.one_payload)
    assert [each.grade for each in found.proposals] == ["proven"] * 3
    assert sum(each.share for each in found.proposals) <= 1
    titles = " ".join(each.vector for each in found.proposals)
    assert all(word in titles for word in ("ntp answers", "TCP SYN", "UDP packets"))


def test_an_attack_like_usual_traffic_gets_no_filter_and_the_reason(compare):
    (proposal,) = compare(traffic.same_syn).proposals
    assert (proposal.grade, proposal.forms) == ("none", ())
    assert "of the baseline, more than 0.5%: usual packets look like the attack's" in proposal.why


def test_a_small_baseline_proves_nothing(compare):
    (proposal,) = compare(traffic.ntp_answer, baseline=700, baseline_seconds=28).proposals
    assert proposal.grade == "unproven"
    assert "the baseline has 700 packets to this target, too few for a proof" in proposal.why
    assert "it takes 736 or more" in proposal.why
    assert compare(traffic.ntp_answer, baseline=736, baseline_seconds=30).proposals[0].grade == "proven"


def test_quiet_traffic_gets_no_proposal(compare):
    found = compare(baseline=6000, others=1500)
    assert (found.proposals, found.best_grade) == ((), "none")
    assert found.reason == "no kind of packets is 3 times as frequent as in the baseline"


def test_without_a_baseline_the_words_are_weaker_and_the_filter_special(tmp_path):
    path = traffic.write(tmp_path / "attack.pcap", traffic.mixed([traffic.bare_syn], attack=9000, others=900))
    (proposal,) = propose(Question([source(path)], summaries=[summary_of(path)])).proposals
    assert proposal.grade == "unproven"
    assert "nothing proves that it is harmless" in proposal.why
    assert "40 bytes long" in proposal.filter
    assert proposal.proof.baseline is None


def test_without_baseline_and_verdict_nothing_is_proposed(tmp_path):
    path = traffic.write(tmp_path / "usual.pcap", traffic.usual(3000))
    found = propose(Question([source(path)], summaries=[summary_of(path)]))
    assert found.proposals == ()
    assert "the verdict names no attack" in found.reason


def test_a_filter_that_stops_a_whole_service_names_it(tmp_path):
    """However small the service's part of all traffic is."""
    random = traffic.Random(4)
    answers = [traffic.udp(traffic.client(random), 123, 40_000, bytes(48)) for _ in range(12)]
    usual = traffic.write(
        tmp_path / "usual.pcap", traffic.usual(9000) + answers, start=traffic.START - 900, seconds=300
    )
    attack = traffic.write(
        tmp_path / "attack.pcap",
        [traffic.udp(traffic.client(random), 123, 40_000, bytes(48)) for _ in range(5000)]
        + traffic.usual(900),
    )
    (proposal,) = propose(Question([source(attack)], [source(usual)])).proposals
    assert proposal.grade == "proven"
    assert "it also stops usual traffic: 12 of 12 baseline packets of UDP from port 123" in proposal.remarks


def test_a_filter_that_only_names_a_service_warns(tmp_path):
    random = traffic.Random(4)
    frames = [
        traffic.udp(
            traffic.client(random),
            random.randrange(1024, 65_536),
            27_015,
            random.randbytes(random.randrange(8, 900)),
        )
        for _ in range(3000)
    ]
    attack = traffic.write(tmp_path / "attack.pcap", frames + traffic.usual(900))
    usual = traffic.write(
        tmp_path / "usual.pcap", traffic.usual(6000), start=traffic.START - 900, seconds=300
    )
    (proposal,) = propose(Question([source(attack)], [source(usual)])).proposals
    assert proposal.filter == "IPv4 UDP to 203.0.113.7 to port 27015"
    assert "it stops all such packets to the target, also those that are wanted" in proposal.remarks


def test_usual_packets_among_the_vector_s_do_not_count_against_a_filter(compare):
    """A third of the SYNs are clients': the filter leaves them alone, and matches nearly all others."""
    found = compare(traffic.bare_syn, attack=1000, others=6000, baseline=24_000, baseline_seconds=240)
    (proposal,) = found.proposals
    assert proposal.grade == "proven"
    assert proposal.proof.attack.share < 0.75
    assert proposal.proof.attack_share > 0.95


@given(
    st.lists(st.sampled_from(sorted(ATTACKS)), min_size=1, max_size=3, unique=True),
    st.integers(1, 1000),
    st.sampled_from([400, 3000]),
)
@settings(max_examples=15, deadline=None)
def test_the_proof_s_numbers_are_those_that_libpcap_counts(tmp_path_factory, names, seed, others):
    """Whatever was sampled for the search: the proof is about every packet."""
    folder = tmp_path_factory.mktemp("proof")
    attacked = traffic.mixed([ATTACKS[name] for name in names], attack=900, others=others, seed=seed)
    quiet = traffic.usual(3000, seed + 1)
    attack = traffic.write(folder / "attack.pcap", attacked)
    usual = traffic.write(folder / "usual.pcap", quiet, start=traffic.START - 900, seconds=120)
    found = propose(Question([source(attack)], [source(usual)]))
    for proposal in found.proposals:
        text = next((form.text for form in proposal.forms if form.name == "tcpdump"), "")
        if not text:
            continue
        program = Program(text)
        matched = sum(map(program.matches, attacked))
        rest = proposal.proof.rest.matched if proposal.proof.rest else 0
        others_hit = matched - proposal.proof.attack.matched - rest
        assert others_hit >= 0  # packets of another vector
        if len(found.proposals) == 1:
            assert others_hit == 0
        assert proposal.proof.baseline.matched == sum(map(program.matches, quiet))
        assert proposal.proof.attack.packets == proposal.packets


@pytest.mark.parametrize("name", [*ATTACKS, "none"])
def test_the_text_fits_80_columns(name, compare):
    """But for a word that is longer."""
    found = compare(*([ATTACKS[name]] if name in ATTACKS else []))
    assert [line for line in lines(found) if len(line) > 80 and " " in line.strip()] == []


def test_the_document_s_schema_is_the_one_in_the_docs():
    assert (DOCS / "proposals.schema.json").read_text() == proposals_schema(), (
        "write it anew: python -c 'from edgecap.proposals.model import proposals_schema as s; "
        'print(s(), end="")\' > docs/proposals.schema.json'
    )
    assert json.loads(proposals_schema())["title"] == "Proposals"
