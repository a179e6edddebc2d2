"""`list`, `show` and `verify` on a real archive."""

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Intent
from edgecap.captures.keep import close_failed
from edgecap.cli.entries import print_entry
from edgecap.cloudflare.models import Capture
from edgecap.errors import CaptureFailed
from edgecap.packets.residual import Residual
from edgecap.packets.summary import Summary
from edgecap.requests import Filter, FullRequest
from edgecap.stores import open_store
from tests.flaky_proxy import FlakyProxy

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
FULL, SIMPLE = "0af1" * 8, "7be2" * 8


@pytest.fixture
def archive(store, keep):
    """A full capture of five minutes ago, and a simple one of two days ago."""
    full = keep(store, FULL, packets=5)
    simple = keep(store, SIMPLE, type="simple", colo_name="", ago=timedelta(days=2), name="simple.pcap")
    return {"full": full, "simple": simple}


def ids(done):
    assert done.returncode == 0, done.stderr
    return [entry["id"] for entry in json.loads(done.stdout)]


def test_an_empty_archive_is_no_error(call, store):
    done = call("list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "There is no entry in" in done.stderr
    assert call("list", "--json").stdout == "[]\n"
    assert json.loads(call("verify", "--json").stdout) == []


def test_an_archive_that_does_not_exist(call):
    done = call("list", EDGECAP_ARCHIVES__DEFAULT__URI="file:/does/not/exist")
    assert done.returncode == 8
    assert "/does/not/exist" in done.stderr


def test_the_list_is_newest_first_and_can_be_narrowed(call, archive):
    assert ids(call("list", "--json")) == [FULL, SIMPLE]
    assert ids(call("list", "--json", "--since", "24h")) == [FULL]
    assert ids(call("list", "--json", "--until", "24h")) == [SIMPLE]
    assert ids(call("list", "--json", "--type", "simple")) == [SIMPLE]
    assert ids(call("list", "--json", "--colo", "ord")) == [FULL]
    assert ids(call("list", "--json", "--limit", "1")) == [FULL]


def test_nobody_s_terminal_gets_whole_lines_without_control_characters(shell, archive):
    for env in ({}, {"NO_COLOR": "1"}):
        done = shell.run("list", **env)
        assert not CONTROL.search(done.stdout)
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert sum(FULL in line and archive["full"].path in line for line in lines) == 1


def test_a_pipe_gets_no_padding_and_real_paths(shell, archive):
    head, full, simple = shell.run("list").stdout.splitlines()
    assert head.split("\t")[:6] == ["when (UTC)", "id", "what", "where", "packets", "verdict"]
    assert not re.search("  |\t$", head + full + simple)
    *_, path = full.split("\t")
    assert (path, (shell.folder / path).is_dir()) == (archive["full"].where.removeprefix("file:"), True)
    assert shell.run("show", path).returncode == 0


def test_columns_are_chosen_by_name(call, archive):
    assert call("list", "--columns", "where,id").stdout.splitlines() == [
        "where\tid",
        f"ORD\t{FULL}",
        f"all\t{SIMPLE}",
    ]
    done = call("list", "--columns", "id,colour")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown column 'colour' (--columns); there are when, id, what" in done.stderr


@pytest.fixture
def judged(store, keep):
    """Captures with a filter, with an alert's target, and with neither."""
    keep(
        store,
        "0af1" * 8,
        filter_v1={"destination_address": "203.0.113.7"},
        changes={"verdict": "Likely SYN flood on 203.0.113.7.", "intent": {"account": "default"}},
    )
    alert = {"targets": ["198.51.100.0/24"]}
    keep(
        store,
        "0af2" * 8,
        ago=timedelta(minutes=6),
        changes={"intent": {"account": "other", "alert": alert}, "verdict": "Nothing stands out."},
    )
    keep(
        store,
        "0af3" * 8,
        ago=timedelta(minutes=7),
        changes={"request": {"expression": "udp and net 192.0.2.0/25"}},
    )


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--target", "203.0.113.7"), "1"),
        (("--target", "203.0.113.0/24"), "1"),
        (("--target", "198.51.100.9"), "2"),
        (("--target", "192.0.2.1"), "3"),
        (("--target", "192.0.2.200"), ""),
        (("--verdict", "syn FLOOD"), "1"),
        (("--verdict", "packets in 1 file"), "3"),
        (("--account", "default"), "1"),
        (("--verdict", "stands", "--limit", "1"), "2"),
    ],
)
def test_entries_are_found_by_target_verdict_and_account(call, judged, options, found):
    assert ids(call("list", "--json", *options, CLOUDFLARE_ACCOUNT_ID="c" * 32)) == [
        f"0af{number}" * 8 for number in found
    ]


def test_a_target_or_account_that_cannot_be_is_named(call, judged):
    done = call("list", "--target", "example.net")
    assert (done.returncode, "'example.net' is not an address (--target)" in done.stderr) == (2, True)
    done = call("list", "--account", "nope", CLOUDFLARE_ACCOUNT_ID="c" * 32)
    assert (done.returncode, "known: default" in done.stderr) == (3, True)


def test_packets_kept_and_fetched_are_both_told(call, store, keep):
    residual = {"expression": "net 203.0.113.0/24", "packets": 5, "kept": 2}
    keep(store, FULL, packets=5, changes={"residual": Residual.model_validate(residual)})
    [entry] = json.loads(call("list", "--json").stdout)
    assert (entry["packets"], entry["kept"]) == (5, 2)
    assert "\t2 of 5\t" in call("list").stdout


def test_an_entry_that_nothing_matched_is_not_merely_complete(call, store, keep):
    residual = Residual(expression="udp", packets=5, kept=0)
    keep(store, FULL, packets=5, changes={"residual": residual, "request": {"expression": "udp"}})
    keep(store, SIMPLE, packets=0, type="simple", colo_name="")
    keep(store, "9c1d" * 8)
    for state, found in (("no-match", FULL), ("empty", SIMPLE), ("complete", "9c1d" * 8)):
        done = call("list", "--state", state, "--json")
        assert ids(done) == [found]
        assert json.loads(done.stdout)[0]["state"] == state
    assert "no-match: 5 packets fetched, and none matches" in call("show", FULL).stdout
    assert "`edgecap explain udp` shows both parts" in call("show", FULL).stdout
    assert "A simple capture has samples only" in call("show", SIMPLE).stdout
    assert "likely cause" not in call("show", "9c1d").stdout
    assert call("list", "--state", "well").returncode == 2


def test_show_says_which_time_was_asked_for(call, store, keep):
    asked = {"time_limit": 90, "offset_time": "2026-11-23T06:35:30.25Z"}
    keep(store, SIMPLE, type="simple", colo_name="", changes={"request": asked})
    shown = call("show", SIMPLE).stdout
    assert re.search(r"time asked for +2026-11-23 06:34:00 to 06:35:30 UTC, 1 min 30 s\n", shown)
    assert re.search(r"packets from +20.* UTC, 2 s\n", shown)
    said = json.loads(call("show", SIMPLE, "--json").stdout)
    assert (said["asked_from"], said["asked_to"]) == (
        "2026-11-23T06:34:00.250000Z",
        "2026-11-23T06:35:30.250000Z",
    )


def test_no_hash_is_broken_over_lines_on_a_narrow_terminal(store, keep):
    entry = keep(store, FULL)
    digest = entry.manifest.files[0].sha256
    for width, shown in ((60, f"{digest[:12]}…"), (140, digest)):
        page = StringIO()
        print_entry(Console(file=page, width=width, color_system=None), entry, None)
        assert f" {shown} " in page.getvalue()


def test_entries_of_older_versions_have_the_verdict_of_their_summary(call, store, keep):
    """Their manifests do not have it."""
    keep(store, FULL, summary=Summary(verdict="Likely SYN flood."))
    assert "\tLikely SYN flood.\t" in call("list").stdout
    assert ids(call("list", "--json", "--verdict", "flood")) == [FULL]


def test_json_says_where_the_files_are_and_what_they_hash_to(call, archive):
    [entry, _] = json.loads(call("list", "--json").stdout)
    assert entry["path"] == archive["full"].where
    assert entry["packets"] == 5
    [file] = entry["files"]
    record = archive["full"].manifest.files[0]
    assert (file["name"], file["sha256"], file["packets"]) == (record.name, record.sha256, 5)


def test_show_takes_the_beginning_of_an_id(call, archive):
    done = call("show", FULL[:6])
    assert done.returncode == 0
    record = archive["full"].manifest.files[0]
    for word in (FULL, record.sha256, record.name, "complete", "ORD", archive["full"].path):
        assert word in done.stdout
    assert not re.search(" +$", done.stdout, re.MULTILINE)
    assert archive["full"].path in done.stdout.splitlines()  # alone, so that no terminal breaks it
    assert not CONTROL.search(done.stdout)
    shown = json.loads(call("show", archive["full"].where, "--json").stdout)
    assert shown["id"] == FULL
    assert shown["capture"]["status"] == "success"
    assert shown["files"][0]["sha256"] == record.sha256


def test_show_of_what_is_not_there(call, archive):
    done = call("show", "ffff")
    assert (done.returncode, done.stdout) == (13, "")
    assert "there is no entry 'ffff'" in done.stderr


def test_a_sound_archive_is_reported_as_sound(call, archive):
    done = call("verify")
    assert done.returncode == 0
    assert "2 entries, 2 files" in done.stdout
    assert [each["ok"] for each in json.loads(call("verify", "--json").stdout)] == [True, True]
    assert call("verify", FULL).returncode == 0


def test_a_flipped_bit_is_found(call, shell, archive):
    path = shell.folder / "archive" / archive["full"].prefix / archive["full"].manifest.files[0].name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    done = call("verify")
    assert done.returncode == 10
    assert "1 of 2 entries are damaged" in done.stderr
    assert "SHA-256" in done.stdout
    verdicts = {each["id"]: each for each in json.loads(call("verify", "--json").stdout)}
    assert verdicts[SIMPLE]["ok"]
    assert verdicts[FULL]["problems"][0]["kind"] == "hash"
    assert call("verify", SIMPLE).returncode == 0
    assert call("verify", FULL[:8]).returncode == 10


def test_a_manifest_that_cannot_be_read_hides_no_other_entry(call, shell, archive):
    manifest = shell.folder / "archive" / archive["full"].prefix / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text("{")
    done = call("list", "--json")
    assert done.returncode == 10
    assert [entry["id"] for entry in json.loads(done.stdout)] == [SIMPLE]
    assert "1 manifest cannot be read" in done.stderr


def test_an_unreadable_file_is_not_called_damaged(call, object_store, bucket, keep):
    """The rest is listed and verified all the same; the exit code is that of a store that does not answer."""
    object_store.make_bucket(bucket)
    place = object_store.place(bucket, "edge")
    store = open_store(place)
    kept = keep(store, FULL, packets=5)
    keep(store, SIMPLE, type="simple", colo_name="", ago=timedelta(days=2), name="simple.pcap")
    with FlakyProxy(urlsplit(place.endpoint_url).port) as proxy:
        env = {
            "EDGECAP_ARCHIVES__DEFAULT__URI": place.uri,
            "EDGECAP_ARCHIVES__DEFAULT__ENDPOINT_URL": proxy.url,
            "EDGECAP_ARCHIVES__DEFAULT__ACCESS_KEY_ID": place.access_key_id.get_secret_value(),
            "EDGECAP_ARCHIVES__DEFAULT__SECRET_ACCESS_KEY": place.secret_access_key.get_secret_value(),
        }
        proxy.never = f"{kept.prefix}manifest.json".encode()
        listed = call("list", "--json", **env)
        verified = call("verify", **env)
        verdicts = json.loads(call("verify", "--json", **env).stdout)
    assert (listed.returncode, [entry["id"] for entry in json.loads(listed.stdout)]) == (8, [SIMPLE])
    assert "1 entry could not be read" in listed.stderr
    assert verified.returncode == 8
    assert "1 of 2 entries could not be read; they may be intact" in verified.stderr
    assert "not read" in verified.stdout
    assert [(each["id"], each["ok"]) for each in verdicts] == [(SIMPLE, True), (None, False)]


def test_leftovers_of_an_interrupted_attempt_are_named_and_harmless(call, shell, archive):
    left = shell.folder / "archive" / archive["full"].prefix / "raw" / "left.pcap"
    left.write_bytes(b"half a file")
    done = call("verify")
    assert done.returncode == 0
    assert "left.pcap" in done.stdout


class TestACaptureWithoutPackets:
    """It was found nowhere: a full capture that Cloudflare ends as failed has no entry."""

    WORDS = "No packets matched the filter in the time limit given. Please modify the filter or try again."
    FAILED = "dad683c9" * 4

    @pytest.fixture(autouse=True)
    def failed(self, store):
        journal = Journal(store)
        at = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
        nobody = Filter(destination_address="192.0.2.250")
        request = FullRequest(colo="ORD", bucket="default", time_limit=60, filter=nobody)
        intent = Intent(
            intent_id="i1",
            request=request,
            account="default",
            archive="default",
            body={},
            decided=at,
        )
        journal.begin(intent)
        journal.accept("i1", {"id": self.FAILED, "submitted": "2026-11-23T06:30:05Z"})
        said = Capture.model_validate({"id": self.FAILED, "status": "failed", "error_message": self.WORDS})
        error = CaptureFailed(said.why_failed, capture_id=self.FAILED, hint="widen the filter")
        close_failed(store, "i1", error)

    def test_show_tells_of_its_request_its_window_and_the_reason(self, call):
        done = call("show", "dad683c9")
        assert done.returncode == 0
        told = " ".join(done.stdout.split())
        assert f'Cloudflare says "{self.WORDS}"' in told
        assert "192.0.2.250" in told
        assert "2026-11-23 06:30:05 to 06:31:05 UTC" in told
        shown = json.loads(call("show", self.FAILED, "--json").stdout)
        assert (shown["id"], shown["state"]) == (self.FAILED, "failed")
        assert shown["asked_to"] == "2026-11-23T06:31:05.000000Z"

    def test_list_has_them_by_their_state(self, call):
        done = call("list", "--state", "failed")
        assert "dad683c9" in done.stdout
        assert self.WORDS in done.stdout
        [listed] = json.loads(call("list", "--state", "failed", "--json").stdout)
        assert listed["request"]["colo"] == "ORD"
        assert "`edgecap list --state failed`" in call("list", "--state", "empty").stderr
        refused = call("list", "--state", "failed", "--colo", "ORD")
        assert (refused.returncode, "--colo does not go with --state failed" in refused.stderr) == (2, True)
