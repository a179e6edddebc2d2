"""`edgecap report`: which file it writes, which it leaves alone, and what it says."""

import json
from datetime import timedelta

import pytest

from edgecap.incidents.incidents import Incidents
from tests.edgecap.report.archive import keep_summary
from tests.edgecap.report.hostile import Seen
from tests.edgecap.report.incidents import ID, attack
from tests.edgecap.report.summaries import FLOOD, START, flood, quiet


@pytest.fixture
def entry(store):
    return keep_summary(store, flood())


@pytest.fixture
def incident(store):
    found, _ = attack()
    incidents = Incidents(store)
    incidents.open(found.opened)
    incidents.end(found.ended)
    return incidents.close(found.record)


def test_it_writes_a_page_here_and_says_its_name(call, shell, entry):
    done = call("report", FLOOD[:6])
    assert (done.returncode, done.stdout, done.stderr) == (0, f"edgecap-{FLOOD}.html\n", "")
    page = (shell.folder / f"edgecap-{FLOOD}.html").read_text()
    assert f"<h1>{flood().verdict}</h1>" in page
    Seen(page).check()
    assert [path.name for path in shell.folder.iterdir() if path.name.startswith((".", "edgecap-"))] == [
        f"edgecap-{FLOOD}.html"
    ]


def test_a_file_that_is_there_stays_unless_force_is_given(call, shell, entry):
    target = shell.folder / "mine.html"
    target.write_text("mine")
    done = call("report", FLOOD, "-o", "mine.html")
    assert done.returncode == 2
    assert (
        done.stderr
        == "edgecap: mine.html already exists (--output); --force replaces it, -o names another file\n"
    )
    assert target.read_text() == "mine"
    assert call("report", FLOOD, "--output", "mine.html", "--force").returncode == 0
    assert target.read_text().startswith("<!doctype html>")
    assert not list(shell.folder.glob(".*"))


def test_a_minus_is_stdout(call, shell, entry):
    done = call("report", FLOOD, "-o", "-")
    assert done.returncode == 0
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout.endswith("</html>\n")
    assert not list(shell.folder.glob("*.html"))


def test_scripts_get_one_document(call, entry):
    done = call("report", FLOOD, "--json")
    assert json.loads(done.stdout) == {"file": f"edgecap-{FLOOD}.html", "kind": "capture", "id": FLOOD}
    assert call("report", FLOOD, "--json", "-o", "-").returncode == 2


def test_an_entry_is_found_by_its_path(call, entry):
    assert call("report", entry.where, "-o", "-").stdout.startswith("<!doctype html>")


def test_a_report_without_a_summary_uses_the_manifest_and_says_so(call, store, keep):
    keep(store, "7be2" * 8)
    done = call("report", "7be2")
    assert done.returncode == 0
    assert done.stderr.startswith("This capture has no summary")


def test_an_incident_is_reported_with_its_captures(call, shell, incident):
    done = call("report", ID[:8])
    assert done.stdout == f"edgecap-{ID}.html\n"
    page = (shell.folder / f"edgecap-{ID}.html").read_text()
    assert "during 2 is missing" in page
    assert "its entry is no longer in the archive" in page
    Seen(page).check()


def test_links_lead_to_the_receiver_if_its_address_is_set(call, store, incident):
    kept = keep_summary(store, quiet(START - timedelta(minutes=10)), capture_id="99aa" * 8)
    moved = incident.captures[0].model_copy(update={"entry": kept.prefix})
    newer = incident.model_copy(update={"incident": "ab" * 16, "captures": (moved,)})
    Incidents(store).close(newer)
    done = call("report", "abab", "-o", "-", EDGECAP_RECEIVER__REPORT_URL="https://edgecap.example.net/")
    Seen(done.stdout).check(links={f"https://edgecap.example.net/captures/{'99aa' * 8}"})


def test_what_is_not_there_is_one_clear_line(call, entry):
    done = call("report", "ffff")
    assert done.returncode == 13
    assert done.stderr.startswith("edgecap: there is no entry or incident 'ffff'")
    assert done.stderr.count("\n") == 1


def test_a_beginning_that_two_things_have_is_refused(call, store, incident):
    keep_summary(store, flood(), capture_id=ID[:4] + "0" * 28)
    done = call("report", ID[:4])
    assert done.returncode == 13
    assert "give more of the id" in done.stderr
    assert call("report", ID[:4] + "0" * 28, "-o", "-").returncode == 0
    assert call("report", ID, "-o", "-").returncode == 0


def test_a_name_with_a_slash_behind_it_becomes_a_folder(call, shell, entry):
    (shell.folder / "taken").write_text("mine")
    assert call("report", FLOOD, "-o", "new/one/").stdout == f"new/one/edgecap-{FLOOD}.html\n"
    done = call("report", FLOOD, "-o", "taken/")
    assert (done.returncode, "taken is a file" in done.stderr, done.stderr.count("\n")) == (2, True, 1)


@pytest.mark.parametrize(("target", "code"), [("missing/report.html", 2), ("--force", 2)])
def test_a_place_that_cannot_be_written_is_one_clear_line(call, shell, entry, target, code):
    done = call("report", FLOOD, "-o", target)
    assert done.returncode == code
    assert done.stderr.count("\n") == 1
    assert not list(shell.folder.glob(".*"))


def test_the_command_itself_does_it(shell, entry):
    done = shell.run("report", FLOOD, "-o", "-")
    assert done.returncode == 0, done.stderr
    assert "SYN flood" in done.stdout


@pytest.fixture
def with_entry(store, incident):
    """An incident of which one capture is in the archive."""
    kept = keep_summary(store, quiet(START - timedelta(minutes=10)), capture_id="99aa" * 8)
    moved = incident.captures[0].model_copy(update={"entry": kept.prefix})
    Incidents(store).close(incident.model_copy(update={"incident": "ab" * 16, "captures": (moved,)}))


def test_an_incidents_captures_are_reported_beside_it_and_linked(call, shell, with_entry):
    done = call("report", "abab", "--captures", "-o", "incident.html", "--json")
    theirs, its = "before-2-ORD.html", "incident.html"
    assert json.loads(done.stdout) == {
        "file": its,
        "kind": "incident",
        "id": "ab" * 16,
        "captures": [theirs],
    }
    Seen((shell.folder / its).read_text()).check(links={theirs})
    assert f'href="{theirs}"' in (shell.folder / its).read_text()
    assert (shell.folder / theirs).read_text().startswith("<!doctype html>")


def test_of_several_reports_none_is_written_if_one_file_exists(call, shell, with_entry):
    folder = shell.folder / f"edgecap-{'ab' * 16}"
    folder.mkdir()
    its = folder / f"{folder.name}.html"
    its.write_text("mine")
    done = call("report", "abab", "--captures")
    assert (done.returncode, its.read_text()) == (2, "mine")
    assert list(folder.iterdir()) == [its]
    assert call("report", "abab", "--captures", "--force").returncode == 0


def test_captures_of_a_capture_or_to_stdout_are_refused(call, entry, incident):
    assert "give the id of an incident" in call("report", FLOOD, "--captures").stderr
    assert "stdout takes one report" in call("report", ID, "--captures", "-o", "-").stderr


@pytest.mark.parametrize("folder", ["handover/", "handover", "new/handover"])
def test_a_folder_gets_all_reports_and_nothing_is_written_elsewhere(call, shell, with_entry, folder):
    done = call("report", "abab", "--captures", "-o", folder)
    folder = folder.rstrip("/")
    assert (done.returncode, done.stdout) == (0, f"{folder}/edgecap-{'ab' * 16}.html\n")
    assert "1 report of its captures" in done.stderr
    written = sorted(path.name for path in (shell.folder / folder).iterdir())
    assert written == ["before-2-ORD.html", f"edgecap-{'ab' * 16}.html"]
    assert not list(shell.folder.glob("*.html"))
    assert call("report", "abab", "--captures", "-o", "nowhere/x.html").returncode == 2
    assert not list(shell.folder.glob("*.html"))
