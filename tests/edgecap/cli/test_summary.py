"""`edgecap summary` and `edgecap merge`: what they print, how they end, what a script may rely on."""

import gzip
import json
import os
import re
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import arro3.io
import jsonschema
import pytest

from edgecap.packets.summary import summary_schema
from edgecap.simulator.traffic.pcapfile import PcapWriter
from edgecap.simulator.traffic.select import sample
from edgecap.simulator.traffic.synthetic import SyntheticTraffic
from tests.edgecap.cli.conftest import EDGECAP
from tests.edgecap.packets.files import SECOND, block, interface, pcap, section

DATA = Path(__file__).parents[2] / "data" / "packets"
ETHERNET = DATA / "ethernet-micro.pcap"
NMAP = DATA / "programs" / "nmap.pcap"


@pytest.fixture
def cut(tmp_path):
    """A capture that ends in the middle of a record."""
    path = tmp_path / "cut.pcap"
    path.write_bytes(NMAP.read_bytes()[:-7])
    return path


@pytest.fixture
def samples(tmp_path):
    """Samples of all data centres, all packets of one, and how the first were sampled."""
    traffic, start = SyntheticTraffic(7, attacks=()), datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
    window = start, start + timedelta(seconds=6)
    kept = {
        "some.pcap": (sample(traffic.packets(*window), 5), 160),
        "full.pcap": (traffic.packets(*window, colo="ORD"), 65_535),
    }
    for name, (packets, cut) in kept.items():
        with (tmp_path / name).open("wb") as file:
            writer = PcapWriter(file, 1, cut)
            for packet in packets:
                writer.write(packet)
    return str(tmp_path / "some.pcap"), str(tmp_path / "full.pcap"), 5


def document(done):
    """The one JSON document of a command, which is what its schema says."""
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads(summary_schema()), cls=jsonschema.Draft202012Validator)
    return found


class TestSummary:
    def test_the_verdict_comes_first_and_then_what_it_rests_on(self, call):
        done = call("summary", str(NMAP))
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert lines[0].startswith("Likely TCP SYN scan of 200 ports of 198.51.100.2 by 198.51.100.1, ")
        assert "  198.51.100.1 sent 200 packets in 200 flows: 50 % of all packets" in lines
        assert any(line.split()[:2] == ["packets", "400"] for line in lines)
        assert any(line.split() == ["SYN", "200", "11,600", "50.0%"] for line in lines)

    def test_json_is_one_document_of_the_schema(self, call):
        found = document(call("summary", str(ETHERNET), str(NMAP), "--sampled", "--json"))
        assert (found["packets"], found["sampled"]) == (481, True)
        assert [(Path(each["name"]).name, each["packets"]) for each in found["files"]] == [
            ("ethernet-micro.pcap", 81),
            ("nmap.pcap", 400),
        ]

    def test_a_known_sampling_makes_estimates_with_their_interval(self, call):
        found = document(call("summary", str(NMAP), "--sampling", "100", "--json"))
        estimate = found["rates"]["packets_estimate"]
        assert estimate["low"] < estimate["value"] < estimate["high"]
        assert estimate["value"] == pytest.approx(100 * found["rates"]["packets"], rel=1e-3)
        assert found["conditions"]["sampling"] == 100
        shown = call("summary", str(NMAP), "--sampling", "100").stdout
        assert " packets/s (95 %)" in shown.splitlines()[0]
        assert "1 in 100, as given: rates are estimates of all" in shown

    def test_the_sampling_is_estimated_from_a_full_capture(self, call, samples):
        some, full, every = samples
        shown = call("summary", some, "--full", full).stdout
        assert re.search(r"The packets are samples, 1 in [\d.]+ to [\d.]+ \(95 %\), estimated from", shown)
        found = document(call("summary", some, "--full", full, "--json"))["conditions"]["sampling_estimate"]
        assert found["low"] <= every <= found["high"]
        nothing = call("summary", some, "--full", str(NMAP))
        assert "The sampling is not known: fewer than 20 of the packets are in" in nothing.stderr
        assert "of which part of all is not known" in nothing.stdout

    def test_a_full_capture_beside_a_known_sampling_is_refused(self, call, samples):
        some, full, _ = samples
        done = call("summary", some, "--full", full, "--sampling", "5")
        assert done.returncode == 2
        assert "--full estimates the sampling that --sampling states" in done.stderr

    def test_an_impossible_sampling_is_refused(self, call):
        done = call("summary", str(NMAP), "--sampling", "0.5")
        assert done.returncode == 2
        assert "a sampling of 1 in 0.5 is impossible" in done.stderr

    def test_a_filter_reports_the_packets_before_it(self, call):
        found = document(call("summary", str(NMAP), "--filter", "src 198.51.100.1", "--json"))
        assert found["packets"] == 200
        assert found["residual"] == {
            "expression": "src 198.51.100.1",
            "packets": 400,
            "kept": 200,
            "inner": False,
            "hint": "",
        }
        assert (
            "400 before 'src 198.51.100.1'"
            in call("summary", str(NMAP), "--filter", "src 198.51.100.1").stdout
        )

    def test_standard_input_is_a_file_too(self, shell):
        """Also packed, and through a pipe that cannot be wound back."""
        done = subprocess.run(
            [EDGECAP, "summary", "-", "--json"],
            input=gzip.compress(NMAP.read_bytes()),
            cwd=shell.folder,
            env=shell.environment(),
            capture_output=True,
            check=True,
        )
        assert document(done)["packets"] == 400

    def test_a_damaged_file_is_summarized_up_to_a_named_byte(self, call, cut):
        done = call("summary", str(cut))
        assert done.returncode == 10
        good = cut.stat().st_size + 7 - 16 - 54  # the last record is one of RST+ACK
        assert f"from byte {good:,} on: cut after packet 399" in done.stderr
        assert f"from byte {good:,} on: cut after packet 399" in done.stdout
        assert "399" in next(line for line in done.stdout.splitlines() if line.strip().startswith("packets"))
        done = call("summary", str(cut), "--json")
        assert done.returncode == 10
        found = document(done)
        assert found["packets"] == 399
        assert found["files"][0]["damage"].startswith(f"from byte {good:,} on: ")

    @pytest.mark.parametrize("content", [b"", b"<html>expired</html>", b"\xd4\xc3\xb2\xa1" + bytes(4)])
    def test_a_file_without_packets_ends_with_10_and_a_document(self, call, tmp_path, content):
        (tmp_path / "a.pcap").write_bytes(content)
        done = call("summary", str(tmp_path / "a.pcap"), "--json")
        assert done.returncode == 10
        assert document(done)["verdict"] == "No packets."

    def test_a_capture_without_packets_is_a_good_one(self, call, tmp_path):
        (tmp_path / "a.pcap").write_bytes(NMAP.read_bytes()[:24])
        done = call("summary", str(tmp_path / "a.pcap"))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[0] == "No packets."

    def test_flows_are_written_as_a_table(self, call, tmp_path):
        done = call("summary", str(NMAP), "--flows", str(tmp_path / "flows.parquet"), "--json")
        table = arro3.io.read_parquet(tmp_path / "flows.parquet").read_all()
        assert table.num_rows == document(done)["flows"]["records"] == 400
        again = call("summary", str(NMAP), "--flows", str(tmp_path / "flows.parquet"))
        assert again.returncode not in (0, 10)
        assert "the file already exists" in again.stderr

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((), "nothing to summarize"),
            (("missing.pcap",), "there is no such file"),
            ((str(NMAP), "--filter", "no such thing"), "the filter is not valid"),
        ],
    )
    def test_an_error_is_one_line_and_no_document(self, call, arguments, words):
        done = call("summary", *arguments, "--json")
        assert done.returncode not in (0, 10)
        assert words in done.stderr
        assert done.stdout == ""

    @pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}])
    def test_a_pipe_gets_no_colours_and_no_control_characters(self, call, env):
        done = call("summary", str(NMAP), **env)
        assert done.stdout.replace("\n", "").isprintable()

    def test_a_name_with_an_escape_sequence_changes_no_terminal(self, call, tmp_path):
        path = tmp_path / "a\x1b[31m.pcap"
        path.write_bytes(NMAP.read_bytes()[:-1])
        done = call("summary", str(path))
        assert done.returncode == 10
        assert "\x1b" not in done.stdout + done.stderr

    def test_a_file_whose_link_type_refuses_the_filter_stops_no_other(self, call, tmp_path):
        other = tmp_path / "other.pcap"
        other.write_bytes(pcap([(0, bytes(40), 40)], link_type=147))
        done = call("summary", str(other), str(NMAP), "--filter", "src 198.51.100.1", "--json")
        assert done.returncode == 10
        found = document(done)
        assert (found["packets"], found["residual"]["kept"]) == (200, 200)
        assert "link type 147" in found["files"][0]["damage"]
        assert "all else is used" in done.stderr
        alone = call("summary", str(other), "--filter", "src 198.51.100.1", "--json")
        assert (alone.returncode, alone.stdout) == (2, "")

    def test_a_link_type_that_is_not_understood_is_named(self, call, tmp_path):
        other = tmp_path / "other.pcap"
        other.write_bytes(pcap([(0, bytes(40), 40)], link_type=105))
        done = call("summary", str(other))
        assert "IEEE802_11 (link type 105), not understood 100.0%" in done.stdout

    def test_a_filter_that_matches_only_inside_gets_a_hint(self, call, tmp_path):
        frame = bytes(12) + b"\x81\0\0\x05\x08\0" + bytes.fromhex("4500001c00010000401100000a0101010a020202")
        path = tmp_path / "tagged.pcap"
        path.write_bytes(pcap([(0, frame + bytes(8), 90)]))
        done = call("summary", str(path), "--filter", "host 10.1.1.1")
        assert "use --inner, or write 'vlan and (host 10.1.1.1)'" in done.stdout
        done = call("summary", str(path), "--filter", "host 10.1.1.1", "--inner", "--json")
        assert document(done)["residual"]["kept"] == 1
        assert call("summary", str(path), "--inner").returncode == 2

    def test_long_times_have_units_that_people_read(self, call, tmp_path):
        path = tmp_path / "long.pcap"
        path.write_bytes(pcap([(day * 86_400 * SECOND, bytes(40), 40) for day in (1, 2_000)]))
        done = call("summary", str(path))
        assert "e+" not in done.stdout
        assert " d" in next(line for line in done.stdout.splitlines() if "each, at most" in line)


class TestAnyName:
    """A file name is bytes; those here are not UTF-8."""

    @pytest.fixture
    def odd(self, tmp_path):
        path = tmp_path / os.fsdecode(b"bad\xff.pcap")
        path.write_bytes(NMAP.read_bytes())
        return path

    def test_it_is_summarized_as_text_and_as_json(self, call, odd):
        done = call("summary", str(odd), str(NMAP))
        assert (done.returncode, done.stderr) == (0, "")
        assert r"bad\xff.pcap" in done.stdout
        assert document(call("summary", str(odd), "--json"))["files"][0]["name"].endswith(r"bad\xff.pcap")

    def test_it_is_merged_from_and_to(self, call, odd, tmp_path):
        target = tmp_path / os.fsdecode(b"all\xfe.pcapng")
        done = call("merge", str(odd), str(NMAP), "-o", str(target), "--json")
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads(done.stdout)
        assert found["path"].endswith(r"all\xfe.pcapng")
        assert found["sources"][0]["name"].endswith(r"bad\xff.pcap")
        names = subprocess.run(["capinfos", target], capture_output=True, check=True).stdout
        assert rb"bad\xff.pcap" in names

    def test_it_is_named_in_an_error(self, call, tmp_path):
        done = call("summary", str(tmp_path / os.fsdecode(b"no\xff.pcap")))
        assert (done.returncode, done.stdout) == (13, "")
        assert r"no\xff.pcap); check the path" in done.stderr

    def test_an_archive_may_have_it(self, shell, tmp_path):
        folder = tmp_path / os.fsdecode(b"archive\xff")
        folder.mkdir()
        for more in ((), ("--json",)):
            done = shell.run("list", *more, EDGECAP_ARCHIVES__DEFAULT__URI=f"file:{folder}")
            assert done.returncode == 0
            assert not more or json.loads(done.stdout) == []
            assert more or r"archive\xff yet" in done.stderr


class TestFullDisk:
    """A standard output that takes nothing is exit code 9, whatever the command."""

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--help",),
            ("version",),
            ("summary", str(NMAP)),
            ("summary", str(NMAP), "--json"),
            ("summary", "CUT"),
            ("explain", "udp"),
            ("policy", "check", "--help"),
        ],
        ids=" ".join,
    )
    def test_it_is_said(self, shell, cut, arguments):
        arguments = [str(cut) if each == "CUT" else each for each in arguments]
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            done = subprocess.run(
                [EDGECAP, *arguments],
                cwd=shell.folder,
                env=shell.environment(),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.returncode == 9
        assert done.stderr.splitlines()[-1].startswith("edgecap: no space is left (standard output)")

    def test_an_error_has_its_code_though_nobody_can_read_it(self, shell):
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            done = subprocess.run(
                [EDGECAP, "summary", "missing.pcap"],
                cwd=shell.folder,
                env=shell.environment(),
                stderr=full,
                check=False,
            )
        assert done.returncode == 13


class TestMerge:
    def test_files_become_one_by_time(self, call, tmp_path):
        done = call("merge", str(ETHERNET), str(NMAP), "-o", str(tmp_path / "all.pcapng"))
        size = (tmp_path / "all.pcapng").stat().st_size
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"481 packets of 2 files in {tmp_path / 'all.pcapng'}, {size:,} bytes.\n"
        said = subprocess.run(
            ["capinfos", "-Mc", tmp_path / "all.pcapng"], capture_output=True, text=True, check=True
        )
        assert "Number of packets:   481" in said.stdout

    def test_json_says_what_came_from_where(self, call, tmp_path):
        target = tmp_path / "all.pcapng"
        done = call("merge", str(NMAP), "--filter", "dst port 22", "-o", str(target), "--json")
        assert json.loads(done.stdout) == {
            "path": str(target),
            "packets": 1,
            "bytes": target.stat().st_size,
            "notes": [],
            "sources": [
                {
                    "name": str(NMAP),
                    "interfaces": [0],
                    "packets": 400,
                    "flags": [],
                    "notes": [],
                    "damage": None,
                },
            ],
        }

    def test_a_damaged_file_is_merged_partly_and_reported(self, call, cut, tmp_path):
        done = call("merge", str(cut), str(ETHERNET), "-o", str(tmp_path / "all.pcapng"), "--json")
        assert done.returncode == 10
        found = json.loads(done.stdout)
        assert found["packets"] == 399 + 81
        assert found["sources"][0]["damage"] in done.stderr
        assert "from byte " in done.stderr

    def test_a_taken_name_is_refused(self, call, tmp_path):
        (tmp_path / "all.pcapng").write_bytes(b"mine")
        done = call("merge", str(NMAP), "-o", str(tmp_path / "all.pcapng"))
        assert done.returncode not in (0, 10)
        assert "the file already exists" in done.stderr
        assert (tmp_path / "all.pcapng").read_bytes() == b"mine"

    def test_what_was_wrong_with_times_is_said_in_both_forms(self, call, tmp_path):
        backwards = tmp_path / "backwards.pcap"
        backwards.write_bytes(pcap([(9 * SECOND, bytes(40), 40), (SECOND, bytes(40), 40)]))
        done = call("merge", str(backwards), str(NMAP), "-o", str(tmp_path / "a.pcapng"))
        assert done.returncode == 0
        assert done.stderr == f"edgecap: {backwards}: a packet is older than one before it\n"
        done = call("merge", str(backwards), str(NMAP), "-o", str(tmp_path / "b.pcapng"), "--json")
        assert json.loads(done.stdout)["notes"] == [f"{backwards}: a packet is older than one before it"]

    def test_packets_without_a_time_are_said_to_get_one(self, call, tmp_path):
        untimed = tmp_path / "untimed.pcapng"
        untimed.write_bytes(section() + interface() + block(3, struct.pack("<I", 4) + bytes(4)))
        done = call("merge", str(untimed), "-o", str(tmp_path / "a.pcapng"))
        assert (
            "carry no time (pcapng simple packet blocks); each gets that of the packet before" in done.stderr
        )

    def test_a_pcap_is_written_on_request(self, call, tmp_path):
        done = call("merge", str(NMAP), "-F", "pcap", "-o", str(tmp_path / "a.pcap"))
        assert (done.returncode, done.stderr) == (0, "")
        said = subprocess.run(["capinfos", tmp_path / "a.pcap"], capture_output=True, text=True, check=True)
        assert "nanosecond pcap" in said.stdout
        assert call("merge", str(NMAP), "-F", "csv", "-o", str(tmp_path / "b.pcap")).returncode == 2

    @pytest.mark.parametrize("files", [(), ("missing.pcap",)])
    def test_without_files_nothing_is_made(self, call, tmp_path, files):
        done = call("merge", *files, "-o", str(tmp_path / "all.pcapng"))
        assert done.returncode not in (0, 10)
        assert list(tmp_path.iterdir()) == []
