"""`edgecap propose`: what it takes, what it prints, how it ends."""

import json
from datetime import timedelta

import jsonschema
import pytest

from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import HeldBack, closed_record
from edgecap.proposals.model import proposals_schema
from tests.edgecap.proposals import traffic
from tests.edgecap.proposals.archive import BEGAN, capture, incident


@pytest.fixture
def files(shell):
    """A file with an attack, and one of ordinary traffic."""
    traffic.write(shell.folder / "attack.pcap", traffic.mixed([traffic.ntp_answer]))
    traffic.write(shell.folder / "usual.pcap", traffic.usual(6000), start=traffic.START - 900, seconds=240)


def document(done):
    """The one JSON document, which is what its schema says."""
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads(proposals_schema()), cls=jsonschema.Draft202012Validator)
    return found


class TestFiles:
    """Without settings, an archive or Prefect."""

    def test_a_file_is_compared_with_another(self, call, files):
        done = call("propose", "attack.pcap", "--baseline", "usual.pcap")
        assert (done.returncode, done.stderr) == (0, "")
        told = done.stdout.splitlines()
        assert told[0] == "1 vector; filters: 1 proven."
        assert "  Proposed filter: IPv4 UDP from port 123 to 203.0.113.7" in told
        assert "  3,000 of the vector's 3,000 packets match: 100.0%." in told
        assert '    ip.dst in {203.0.113.7} and ip.proto eq "udp" and udp.srcport eq 123' in told
        assert all(len(line) <= 80 for line in told)

    def test_json_is_one_document_of_the_schema(self, call, files):
        found = document(call("propose", "attack.pcap", "--baseline", "usual.pcap", "--json"))
        [proposal] = found["proposals"]
        assert proposal["grade"] == "proven"
        assert proposal["proof"]["baseline"] == {
            "matched": 0,
            "packets": 6000,
            "share": 0.0,
            "low": 0.0,
            "high": pytest.approx(0.000615, abs=1e-6),
        }
        assert [form["name"] for form in proposal["forms"]] == [
            "cloudflare",
            "tcpdump",
            "nftables",
            "flowspec",
        ]

    def test_without_a_baseline_it_says_that_nothing_is_proven(self, call, files):
        done = call("propose", "attack.pcap")
        assert "Possible filter, not proven harmless" in done.stdout
        assert "there is no baseline: nothing proves that it is" in " ".join(done.stdout.lower().split())
        assert "none; --baseline names captures" in done.stdout

    def test_several_files_are_one_baseline(self, call, files, shell):
        traffic.write(shell.folder / "more.pcap", traffic.usual(500, 7), start=traffic.START - 2000)
        found = document(call("propose", "attack.pcap", "--baseline", "usual.pcap", "more.pcap", "--json"))
        assert [each["packets"] for each in found["baseline"]] == [6000, 500]

    @pytest.mark.parametrize("wrong", [("none.pcap",), ("attack.pcap", "--baseline", "none.pcap")])
    def test_a_file_that_is_not_there_is_one_clear_line(self, call, files, wrong):
        done = call("propose", *wrong)
        assert (done.returncode, done.stdout) == (13, "")
        assert done.stderr == "edgecap: there is no such file (none.pcap); check the path\n"

    def test_a_file_that_holds_no_packets_is_damaged(self, call, shell):
        (shell.folder / "page.pcap").write_text("<html>no packets</html>")
        done = call("propose", "page.pcap")
        assert done.returncode == 10
        assert done.stdout.startswith("No filter is proposed: the attack's captures have no packets.")
        assert "it is an HTML page, not packets" in done.stderr

    def test_a_cut_file_is_used_as_far_as_it_goes(self, call, files, shell):
        path = shell.folder / "attack.pcap"
        path.write_bytes(path.read_bytes()[:-7])
        done = call("propose", "attack.pcap", "--baseline", "usual.pcap")
        assert done.returncode == 10
        assert "1 proven" in done.stdout
        assert "cut after packet 4499" in done.stderr


class TestArchive:
    """Captures and incidents by their ids."""

    def test_a_capture_is_compared_with_earlier_ones_of_its_target(self, call, store):
        capture(store, 3, traffic.usual(3000), start=BEGAN - timedelta(hours=3))
        entry = capture(store, 2, traffic.mixed([traffic.ntp_answer]), start=BEGAN)
        found = document(call("propose", entry.manifest.entry_id, "--json"))
        assert [each["grade"] for each in found["proposals"]] == ["proven"]
        assert [each["id"] for each in found["baseline"]] == [f"{3:032x}"]
        assert found["baseline"][0]["name"] == "earlier (00000000)"

    def test_an_incident_is_compared_with_its_own_packets_from_before(self, call, store):
        opened, parts = incident(store)
        none = closed_record(opened, None, tuple(parts), held_back=HeldBack(), at=BEGAN + timedelta(hours=1))
        Incidents(store).close(none)
        found = document(call("propose", opened.incident[:8], "--json"))
        assert [each["grade"] for each in found["proposals"]] == ["proven"]
        assert [each["name"].split(" (")[0] for each in found["attack"]] == ["during 1", "before 1"]
        by_capture = document(call("propose", f"{2:032x}", "--json"))
        assert [each["name"].split(" (")[0] for each in by_capture["baseline"]] == ["before 1"]

    def test_a_baseline_with_a_narrower_filter_is_left_out(self, call, store):
        narrow = capture(
            store, 3, traffic.usual(900), start=BEGAN - timedelta(hours=3), fields={"protocol": 6}
        )
        entry = capture(store, 2, traffic.mixed([traffic.ntp_answer]), start=BEGAN)
        done = call("propose", entry.manifest.entry_id, "--baseline", narrow.manifest.entry_id, "--json")
        found = document(done)
        assert found["baseline"] == []
        assert any("is left out of the baseline" in remark for remark in found["remarks"])
        assert all(each["grade"] == "unproven" for each in found["proposals"])

    def test_a_file_may_be_compared_with_a_capture(self, call, store, files):
        usual = capture(store, 3, traffic.usual(3000), start=BEGAN)
        found = document(call("propose", "attack.pcap", "--baseline", usual.manifest.entry_id, "--json"))
        assert [each["name"] for each in found["attack"]] == ["attack.pcap"]
        assert found["proposals"][0]["proof"]["baseline"]["packets"] == 3000

    def test_what_is_not_there_is_one_clear_line(self, call, store):
        done = call("propose", "0af1")
        assert (done.returncode, done.stdout) == (13, "")
        assert "there is no entry or incident '0af1'" in done.stderr
        empty = capture(store, 4, [], start=BEGAN)
        done = call("propose", empty.manifest.entry_id)
        assert (done.returncode, "the capture has no packets" in done.stderr) == (13, True)
        opened, _ = incident(store, before=100)
        done = call("propose", opened.incident)
        assert (done.returncode, done.stderr.count("\n")) == (13, 1)
        assert "has packets of the attack" in done.stderr
