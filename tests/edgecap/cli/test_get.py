"""`edgecap get`: packets come out whole and verified, and nothing is overwritten silently."""

import hashlib
import json
import shlex
import subprocess
from types import SimpleNamespace
from zipfile import ZipFile

import pytest

from deployments.project import PROJECT
from edgecap.analytics.dropped import PacketFile
from edgecap.archive.manifest import FileRecord
from edgecap.captures.keep import keep as keep_capture
from edgecap.cli.get_incident import tell_size
from edgecap.incidents.drops import Drops, keep_drops
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import Part
from edgecap.packets.reader import open_packets
from edgecap.packets.residual import Residual
from edgecap.stores import open_store
from edgecap.units import size
from tests.edgecap.captures.test_keep import CAPTURE, Fetching, put_raw, recorded
from tests.edgecap.cli.conftest import EDGECAP
from tests.edgecap.packets.files import SECOND, pcapng
from tests.edgecap.report.incidents import ID as INCIDENT
from tests.edgecap.report.incidents import attack
from tests.edgecap.report.incidents import dropped as edge_dropped

ID = "0af1" * 8


@pytest.fixture
def entry(store, keep):
    return keep(store, ID, packets=5)


@pytest.fixture
def merged(store):
    """A capture of two servers, merged."""
    raw = put_raw(store, CAPTURE, {f"{name}.pcap": recorded(name) for name in ("ord02-s1", "ord02-s2")})
    return keep_capture(store, CAPTURE, Fetching(tuple(raw)), None)


def bytes_of(shell, entry, name):
    return (shell.folder / "archive" / entry.prefix / name).read_bytes()


def test_all_packets_come_as_one_file_named_for_the_capture(call, shell, merged):
    done = call("get", CAPTURE.id[:8])
    assert (done.returncode, done.stdout, done.stderr) == (0, f"edgecap-{CAPTURE.id}.pcapng\n", "")
    assert (shell.folder / done.stdout.strip()).read_bytes() == bytes_of(shell, merged, "packets.pcapng")


def test_an_entry_of_one_file_gives_that_file(call, shell, entry):
    assert call("get", entry.path, "mine.pcap").stdout == "mine.pcap\n"
    assert (shell.folder / "mine.pcap").read_bytes() == bytes_of(shell, entry, "raw/a.pcap")


def test_a_folder_gets_the_file_with_its_usual_name(call, shell, merged):
    (shell.folder / "out").mkdir()
    assert call("get", CAPTURE.id, "out").stdout == f"out/edgecap-{CAPTURE.id}.pcapng\n"


def test_a_part_is_named_as_show_names_it(call, shell, merged):
    done = call("get", CAPTURE.id, "--part", "raw/ord02-s2.pcap", "--json")
    said = json.loads(done.stdout)
    data = (shell.folder / said["file"]).read_bytes()
    assert said["sha256"] == hashlib.sha256(data).hexdigest()
    assert (said["part"], said["bytes"]) == ("raw/ord02-s2.pcap", len(data))
    done = call("get", CAPTURE.id, "--part", "raw/other.pcap")
    assert (done.returncode, "it has flows.parquet, packets.pcapng, raw/ord02-s1" in done.stderr) == (2, True)


def test_a_minus_is_stdout(shell, entry):
    done = subprocess.run(
        [EDGECAP, "get", ID, "-"], cwd=shell.folder, env=shell.environment(), capture_output=True, check=True
    )
    assert done.stdout == bytes_of(shell, entry, "raw/a.pcap")
    assert done.stderr == b""
    assert shell.run("get", ID, "-", "--json").returncode == 2


def test_a_file_that_is_there_stays_unless_force_is_given(call, shell, entry):
    (shell.folder / "mine.pcap").write_text("mine")
    done = call("get", ID, "mine.pcap")
    assert (done.returncode, "mine.pcap already exists (FILE); --force replaces it" in done.stderr) == (
        2,
        True,
    )
    assert (shell.folder / "mine.pcap").read_text() == "mine"
    assert call("get", ID, "mine.pcap", "--force").returncode == 0
    assert (shell.folder / "mine.pcap").read_bytes() == bytes_of(shell, entry, "raw/a.pcap")


def test_damaged_bytes_get_no_name(call, shell, entry):
    path = shell.folder / "archive" / entry.prefix / "raw/a.pcap"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = call("get", ID, "mine.pcap")
    assert (done.returncode, done.stdout) == (10, "")
    assert "its SHA-256 is" in done.stderr
    assert [each.name for each in shell.folder.iterdir() if "mine" in each.name] == []
    done = subprocess.run(
        [EDGECAP, "get", ID, "-"], cwd=shell.folder, env=shell.environment(), capture_output=True, check=False
    )
    assert done.returncode == 10


def test_an_entry_without_one_file_of_all_packets_says_which_there_are(call, store, keep):
    file = FileRecord(name="raw/b.pcap", size=0, sha256="0" * 64)
    entry = keep(store, ID)
    several = entry.manifest.model_copy(update={"files": (*entry.manifest.files, file)})
    manifest = open_store_path(store, entry)
    manifest.chmod(0o644)
    manifest.write_text(several.model_dump_json())
    done = call("get", ID)
    assert (done.returncode, "--part: raw/a.pcap, raw/b.pcap" in done.stderr) == (13, True)


NO_MATCH = {"residual": Residual(expression="greater 1000", packets=3, kept=0)}


@pytest.mark.parametrize(
    ("packets", "changes", "words"),
    [
        (0, {"files": ()}, "the capture has no packets"),
        (0, {}, "the capture has no packets"),
        (3, NO_MATCH, "no packet of the capture matches its filter"),
    ],
)
def test_a_capture_without_packets_is_one_clear_line(call, shell, store, keep, packets, changes, words):
    keep(store, ID, packets=packets, changes=changes)
    done = call("get", ID)
    assert (done.returncode, done.stdout) == (13, "")
    assert done.stderr.startswith(f"edgecap: {words} (")
    assert done.stderr.count("\n") == 1
    assert f"`edgecap show {ID[:8]}` says why" in done.stderr
    assert list(shell.folder.glob("edgecap-*")) == []


def open_store_path(store, entry):
    return store.local(f"{entry.prefix}manifest.json")


def test_it_brings_them_out_of_a_bucket(call, shell, object_store, bucket, keep):
    object_store.make_bucket(bucket)
    place = object_store.place(bucket, "edge")
    kept = keep(open_store(place), ID, packets=7)
    env = {
        "EDGECAP_ARCHIVES__DEFAULT__URI": place.uri,
        "EDGECAP_ARCHIVES__DEFAULT__ENDPOINT_URL": place.endpoint_url,
        "EDGECAP_ARCHIVES__DEFAULT__ACCESS_KEY_ID": place.access_key_id.get_secret_value(),
        "EDGECAP_ARCHIVES__DEFAULT__SECRET_ACCESS_KEY": place.secret_access_key.get_secret_value(),
    }
    assert call("get", ID, "x.pcap", **env).returncode == 0
    found = hashlib.sha256((shell.folder / "x.pcap").read_bytes()).hexdigest()
    assert found == kept.manifest.files[0].sha256


class TestIncident:
    """`edgecap get` with the id of an incident."""

    @pytest.fixture
    def incident(self, store, keep):
        """An incident with a capture before, two during (one is empty, one failed), and one after."""
        found, _ = attack()
        kept = [
            (keep(store, "0af1" * 8, packets=4, type="simple", colo_name=""), "before"),
            (keep(store, "0af2" * 8, packets=9), "during"),
            (keep(store, "0af3" * 8, packets=0, colo_name="AMS"), "during"),
        ]
        parts = [
            Part(
                phase=phase,
                number=number,
                request=str(entry.manifest.type),
                why="",
                state="archived",
                entry=entry.prefix,
            )
            for number, (entry, phase) in enumerate(kept, 1)
        ]
        parts.append(
            Part(phase="after", number=1, request="simple 60s", why="", state="missing", reason="refused")
        )
        incidents = Incidents(store)
        incidents.open(found.opened)
        incidents.close(found.record.model_copy(update={"captures": tuple(parts)}))
        return [entry for entry, _ in kept]

    @pytest.fixture
    def dropped(self, store):
        """The headers of packets that the edge dropped, as the incident's record names them."""
        data = pcapng([(1_795_000_000 * SECOND, bytes(20), 40)], link_type=101)
        key = f"incidents/{INCIDENT}/dropped/closing.pcapng"
        store.put(key, data)
        file = PacketFile(key=key, size=len(data), sha256=hashlib.sha256(data).hexdigest(), packets=1)
        found = edge_dropped().model_copy(update={"packets": file})
        keep_drops(store, Drops(incident=INCIDENT, round="closing", at=found.asked, logpush=found))
        return data

    def test_dropped_packets_come_with_the_zip_and_with_a_folder(self, call, shell, incident, dropped):
        assert call("get", INCIDENT, "incident.zip").returncode == 0
        with ZipFile(shell.folder / "incident.zip") as packed:
            packed.extractall(shell.folder / "out")
        folder = shell.folder / "out" / f"edgecap-{INCIDENT}"
        assert (folder / "dropped.pcapng").read_bytes() == dropped
        subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, check=True)
        assert (
            "dropped.pcapng: headers of packets that the edge dropped" in (folder / "README.txt").read_text()
        )
        done = call("get", INCIDENT, "beside")
        assert done.stdout.splitlines()[-1] == "beside/dropped.pcapng"

    def test_dropped_packets_come_also_if_no_capture_has_packets(self, call, shell, store, dropped):
        found, _ = attack()
        Incidents(store).open(found.opened)
        assert call("get", INCIDENT, "x.zip").returncode == 0
        assert call("get", INCIDENT, "y.pcapng").returncode == 13

    def test_damaged_dropped_packets_stop_no_capture(self, call, shell, store, incident, dropped):
        path = store.local(f"incidents/{INCIDENT}/dropped/closing.pcapng")
        path.chmod(0o644)
        path.write_bytes(dropped[:-1] + b"x")
        done = call("get", INCIDENT, "out")
        assert done.returncode == 10
        assert sorted(each.name for each in (shell.folder / "out").iterdir()) == [
            "before-1-all.pcap",
            "during-2-ORD.pcap",
        ]

    def test_each_capture_comes_as_a_file_with_its_phase_and_place(self, call, shell, incident):
        done = call("get", INCIDENT[:8], "out/of/it")
        names = ["before-1-all.pcap", "during-2-ORD.pcap"]
        assert (done.returncode, done.stdout.splitlines()) == (0, [f"out/of/it/{name}" for name in names])
        for name, entry in zip(names, incident, strict=False):
            packets = (shell.folder / "out/of/it" / name).read_bytes()
            assert packets == bytes_of(shell, entry, "raw/a.pcap")
        assert "Not brought: during-3 (full): the capture has no packets" in done.stderr
        assert "Not brought: after-1 (simple 60s): missing: refused" in done.stderr

    def test_json_names_the_files_and_what_is_missing(self, call, incident):
        said = json.loads(call("get", INCIDENT, "--json").stdout)
        assert said["folder"] == f"edgecap-{INCIDENT}"
        assert [(each["phase"], each["colo"], each["packets"]) for each in said["files"]] == [
            ("before", None, 4),
            ("during", "ORD", 9),
        ]
        assert len(said["not_brought"]) == 2

    def test_a_damaged_capture_stops_no_other(self, call, shell, incident):
        path = shell.folder / "archive" / incident[0].prefix / "raw/a.pcap"
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        done = call("get", INCIDENT, "out")
        assert (done.returncode, done.stdout) == (10, "out/during-2-ORD.pcap\n")
        assert [each.name for each in (shell.folder / "out").iterdir()] == ["during-2-ORD.pcap"]

    def test_files_that_are_there_stay_unless_force_is_given(self, call, shell, incident):
        assert call("get", INCIDENT, "out").returncode == 0
        done = call("get", INCIDENT, "out")
        assert (done.returncode, "before-1-all.pcap already exists" in done.stderr) == (2, True)
        assert call("get", INCIDENT, "out", "--force").returncode == 0

    @pytest.mark.parametrize("options", [("-",), ("--part", "raw/a.pcap"), ("taken",)])
    def test_an_incident_needs_a_folder(self, call, shell, incident, options):
        (shell.folder / "taken").write_text("mine")
        done = call("get", INCIDENT, *options)
        assert (done.returncode, "folder" in done.stderr) == (2, True)

    def test_a_pcapng_gets_all_packets_and_says_what_they_are(self, call, shell, incident):
        done = call("get", INCIDENT[:8], "all.pcapng")
        assert (done.returncode, done.stdout) == (0, "all.pcapng\n")
        path = shell.folder / "all.pcapng"
        assert path.is_file()
        with open_packets(path) as reader:
            assert sum(len(batch.rows) for batch in reader) == 13
            assert [each.name for each in reader.interfaces] == ["before-1-all", "during-2-ORD"]
        told = subprocess.run(["capinfos", path], capture_output=True, text=True, check=True).stdout
        for words in (
            f"edgecap incident {INCIDENT}",
            "Verdict: ",
            "Description = samples",
            "Description = all packets",
            "Missing: after-1 (simple 60s): missing: refused",
        ):
            assert words in told
        assert [each.name for each in shell.folder.iterdir() if each.name.startswith(".")] == []

    def test_a_merged_file_says_in_json_what_it_has(self, call, shell, incident):
        said = json.loads(call("get", INCIDENT, "all.pcapng", "--json").stdout)
        data = (shell.folder / "all.pcapng").read_bytes()
        assert (said["packets"], said["bytes"]) == (13, len(data))
        assert said["sha256"] == hashlib.sha256(data).hexdigest()
        assert [each["name"] for each in said["captures"]] == ["before-1-all", "during-2-ORD"]

    def test_one_file_without_a_damaged_capture_is_written_and_fails(self, call, shell, incident):
        path = shell.folder / "archive" / incident[0].prefix / "raw/a.pcap"
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        assert call("get", INCIDENT, "all.pcapng").returncode == 10
        with open_packets(shell.folder / "all.pcapng") as reader:
            assert sum(len(batch.rows) for batch in reader) == 9

    def test_a_zip_has_reports_packets_and_sums_that_verify(self, call, shell, incident):
        done = call("get", INCIDENT[:8], "incident.zip")
        assert (done.returncode, done.stdout) == (0, "incident.zip\n")
        with ZipFile(shell.folder / "incident.zip") as packed:
            packed.extractall(shell.folder / "out")
        folder = shell.folder / "out" / f"edgecap-{INCIDENT}"
        assert sorted(each.name for each in folder.iterdir()) == [
            "README.txt",
            "SHA256SUMS",
            "before-1-all.html",
            "before-1-all.pcap",
            "during-2-ORD.html",
            "during-2-ORD.pcap",
            "during-3-AMS.html",
            f"edgecap-{INCIDENT}.html",
        ]
        summed = subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, check=True
        )
        assert summed.stdout.count(b": OK") == 7
        assert 'href="during-2-ORD.html"' in (folder / f"edgecap-{INCIDENT}.html").read_text()
        readme = (folder / "README.txt").read_text()
        assert "during-2-ORD.pcap: all packets, 9 packets" in readme
        assert "after-1 (simple 60s): missing: refused" in readme
        assert done.stderr.splitlines()[0] == f"{size((shell.folder / 'incident.zip').stat().st_size)}."

    def test_a_zip_dates_its_packets_by_their_first_one(self, call, shell, incident):
        """They were from 1980."""
        call("get", INCIDENT[:8], "incident.zip")
        with ZipFile(shell.folder / "incident.zip") as packed:
            dates = {info.filename.rpartition("/")[2]: info.date_time[:3] for info in packed.infolist()}
        assert dates["during-2-ORD.pcap"] == dates["before-1-all.pcap"] != (1980, 1, 1)

    def test_samples_alone_make_a_small_zip_that_names_the_rest(self, call, shell, incident):
        done = call("get", INCIDENT[:8], "small.zip", "--samples")
        assert done.returncode == 0
        with ZipFile(shell.folder / "small.zip") as packed:
            names = {each.rpartition("/")[2] for each in packed.namelist()}
            readme = packed.read(f"edgecap-{INCIDENT}/README.txt").decode()
        assert "before-1-all.pcap" in names
        assert "during-2-ORD.pcap" not in names
        assert "during-2-ORD.html" in names
        assert "  during-2-ORD.pcap: all packets, " in readme.partition("Left out")[2]

    def test_a_file_too_large_to_mail_says_what_to_do(self, capsys, tmp_path):
        """It was 20 MB, and its name was all that was printed."""
        large = tmp_path / "incident.zip"
        with large.open("wb") as file:
            file.truncate(20_000_000)
        kinds = [SimpleNamespace(is_sample=True), SimpleNamespace(is_sample=False)]
        tell_size(SimpleNamespace(id=INCIDENT), SimpleNamespace(files=kinds), large)
        told = capsys.readouterr().err
        assert told.startswith("20 MB, about 27.4 MB in a mail, which is too much for many mailboxes: ")
        assert f"`edgecap get {INCIDENT[:8]} --samples incident.zip`" in told

    @pytest.mark.parametrize("name", ["x.pcap", "x.tar"])
    def test_a_form_that_an_incident_cannot_have_is_one_clear_line(self, call, shell, incident, name):
        done = call("get", INCIDENT, name)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "an incident cannot become a" in done.stderr
        assert not (shell.folder / name).exists()

    @pytest.mark.parametrize("name", ["nodir/x.pcapng", "nodir/x.zip"])
    def test_one_file_needs_its_folder_and_stays_unless_forced(self, call, shell, incident, name):
        done = call("get", INCIDENT, name)
        assert (done.returncode, "the folder nodir does not exist" in done.stderr) == (2, True)
        (shell.folder / "nodir").mkdir()
        (shell.folder / name).write_text("mine")
        assert call("get", INCIDENT, name).returncode == 2
        assert (shell.folder / name).read_text() == "mine"
        assert call("get", INCIDENT, name, "--force").returncode == 0

    def test_the_page_on_alerts_hands_an_incident_on_as_it_says(self, shell, incident):
        """The page's commands in their order, with the id of this incident."""
        page = (PROJECT / "docs/alerts/README.md").read_text().partition("## Hand an incident on")[2]
        commands = [line[2:].split("#")[0] for line in page.splitlines() if line.startswith("$ ")]
        assert len(commands) == 4
        for command in commands:
            done = shell.run(*shlex.split(command.replace("1f0c", INCIDENT[:8]))[1:])
            assert done.returncode == 0, done.stderr
        assert sorted(each.name for each in (shell.folder / "handover").iterdir()) == [
            "before-1-all.html",
            "before-1-all.pcap",
            "during-2-ORD.html",
            "during-2-ORD.pcap",
            "during-3-AMS.html",
            f"edgecap-{INCIDENT}.html",
        ]

    def test_files_that_could_not_be_merged_come_one_by_one(self, call, shell, store, keep, incident):
        manifest = open_store_path(store, incident[1])
        file = incident[1].manifest.files[0]
        several = (file, file.model_copy(update={"name": "raw/b.pcap"}))
        manifest.chmod(0o644)
        manifest.write_text(incident[1].manifest.model_copy(update={"files": several}).model_dump_json())
        data = bytes_of(shell, incident[1], "raw/a.pcap")
        store.put(f"{incident[1].prefix}raw/b.pcap", data)
        done = call("get", INCIDENT, "out")
        assert done.stdout.splitlines()[1:] == ["out/during-2-ORD-a.pcap", "out/during-2-ORD-b.pcap"]


def test_commands_for_one_kind_of_id_name_the_command_for_the_other(call, store, keep):
    Incidents(store).open(attack()[0].opened)
    keep(store, ID)
    for command in (("show",), ("verify",)):
        done = call(*command, INCIDENT[:6])
        assert (done.returncode, done.stdout) == (13, "")
        assert "is an incident, not a capture" in done.stderr
        assert f"`edgecap incident show {INCIDENT[:8]}` shows it" in done.stderr
    done = call("incident", "show", ID[:6])
    assert (done.returncode, done.stdout) == (13, "")
    assert f"is a capture, not an incident; `edgecap show {ID[:8]}` shows it" in done.stderr
