"""`incident list` and `show`: from the archive, and from the receiver's inbox."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.alerts.model import Alert, derive, summary_of
from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.analytics.dropped import Series
from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Ended, Intent
from edgecap.incidents.drops import Drops, keep_drops
from edgecap.incidents.inbox.alert_inbox import INBOX, AlertInbox
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import HeldBack, IncidentEvent, Part, closed_record
from edgecap.requests import rfc3339
from edgecap.units import stamp
from tests.edgecap.report.incidents import dropped as edge_dropped
from tests.edgecap.report.incidents import estimate

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
POLICY = read_policy(
    '[[rules]]\nname = "floods"\nbefore = 400\nafter = 60\n[rules.during]\ncolos = ["ORD"]\n'
)
OLD, NEW = derive("old"), derive("new")


def alert(event="start", *, key="attack", ago=timedelta(), **more):
    """An alert that arrived so long ago, half a minute after it began."""
    received = datetime.now(UTC) - ago
    facts = {
        "source": "generic",
        "kind": "flood",
        "event": event,
        "identity": derive(key, event),
        "incident": derive(key),
        "received": received,
        "started": received - timedelta(seconds=30),
        "targets": ("203.0.113.7",),
        **({"ended": received} if event == "end" else {}),
    }
    return Alert(**{**facts, **more})


def noted(incident, given):
    return IncidentEvent(
        incident=incident,
        alert=summary_of(given),
        plan=decide(given, POLICY),
        account="default",
        at=given.received,
    )


@pytest.fixture
def incidents(store):
    return Incidents(store)


@pytest.fixture
def closed(store, incidents, keep):
    """Two days ago, with one capture that is archived and one that is missing."""
    ago = timedelta(days=2)
    opened = incidents.open(noted(OLD, alert(key="old", ago=ago)))
    ended = incidents.end(noted(OLD, alert("end", key="old", ago=ago - timedelta(minutes=5))))
    entry = keep(store, "7be2" * 8, packets=5, ago=ago)
    parts = (
        Part(
            phase="before",
            number=1,
            request="simple 60s",
            why="",
            state="archived",
            entry=entry.prefix,
            packets=5,
        ),
        Part(phase="during", number=1, request="full ORD", why="", state="missing", reason="no packets"),
    )
    held = HeldBack(joined=2, repeated=3)
    return incidents.close(closed_record(opened, ended, parts, held_back=held, at=datetime.now(UTC) - ago))


@pytest.fixture
def going_on(incidents):
    return incidents.open(noted(NEW, alert(key="new", ago=timedelta(minutes=3))))


def shown(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestWhatTheEdgeDropped:
    def test_show_tells_it_and_calls_nothing_missing(self, call, store, incidents):
        given = alert(key="new", ago=timedelta(minutes=50))
        opened = incidents.open(noted(NEW, given))
        ended = incidents.end(noted(NEW, alert("end", key="new", ago=timedelta(minutes=5))))
        asked = datetime.now(UTC)
        series = {"start": given.started - timedelta(minutes=3), "seconds": 60.0}
        gone = edge_dropped()
        gone = gone.model_copy(
            update={
                "series": Series(**series, passed=(100.0,) * 60, dropped=(9e6,) * 60),
                "passed": estimate(6000.0),
                "dropped": estimate(54e7),
            }
        )
        keep_drops(store, Drops(incident=NEW, round="closing", at=asked, analytics=gone))
        during = Part(
            phase="during",
            number=1,
            request="full ORD",
            why="",
            state="missing",
            reason="No packets matched the filter",
            capture_id="ab" * 16,
        )
        incidents.close(closed_record(opened, ended, (during,), held_back=HeldBack(), at=asked))
        text = call("incident", "show", NEW).stdout
        assert "quiet: the edge dropped" in text
        assert ">99.9% of about 540 M packets dropped by the edge" in text
        assert "missing" not in text
        told = shown(call("incident", "show", NEW, "--json"))
        assert told["captures"][0]["state"] == "mitigated"
        assert told["drops"][0]["round"] == "closing"


class TestFromTheArchive:
    def test_no_incident_is_no_error(self, call, store):
        done = call("incident", "list")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "There is no incident yet.\n")
        assert call("incident", "list", "--json").stdout == "[]\n"

    def test_open_and_closed_ones_newest_first(self, call, closed, going_on):
        found = shown(call("incident", "list", "--json"))
        assert [(each["id"], each["state"]) for each in found] == [(NEW, "open"), (OLD, "closed")]
        assert [part["state"] for part in found[1]["captures"]] == ["archived", "missing"]
        assert (found[1]["joined"], found[1]["repeated"]) == (2, 3)
        assert found[0]["closed"] is None
        text = call("incident", "list").stdout
        assert text.index(NEW) < text.index(OLD)
        assert re.search(rf"{OLD}\tclosed\t1 of 2\t5\tFlood on ", text)
        newest = call("incident", "list", "--limit", "1")
        assert OLD not in newest.stdout
        assert "The newest 1 of 2" in newest.stderr
        assert call("incident", "list", "--limit", "-1").returncode == 2

    def test_a_closed_incident_is_shown_with_captures_and_missing_ones(self, call, closed):
        done = call("incident", "show", OLD[:6])
        assert done.returncode == 0
        for word in (OLD, "closed: 1 of 2 captures archived, 5 packets", "floods"):
            assert word in done.stdout
        assert re.search(r"before 1 +7be27be2 +5 .* archived\n", done.stdout)
        assert re.search(r"during 1 +- +- +no packets +missing\n", done.stdout)
        assert closed.captures[0].entry not in done.stdout  # `--json` has it, and `edgecap show`
        assert done.stdout.count("no packets") == 1
        assert done.stdout.count("the 60 s that follow are captured") == 1
        assert "Flood on 203.0.113.7, began " in done.stdout
        assert "2 joined, 3 repeated" in done.stdout
        assert "At the start" in done.stdout
        assert "At the end" in done.stdout
        assert not CONTROL.search(done.stdout)

    def test_an_open_incident_shows_the_progress_of_its_captures(self, call, store, keep, going_on):
        """From the journal of intents: archived, failed, asked for, not yet."""
        journal = Journal(store)
        first, second, third = (part.intent_id for part, _ in going_on.parts)
        entry = keep(store, "0af1" * 8, packets=4)
        for intent_id in (first, second):
            journal.begin(intent(intent_id, going_on))
        journal.accept(first, {"id": "0af1" * 8, "type": "simple", "status": "success"})
        journal.end(first, Ended(at=datetime.now(UTC), outcome="archived", reason="done", entry=entry.prefix))
        one, two, three = shown(call("incident", "show", NEW, "--json"))["captures"]
        assert (one["state"], one["packets"], one["entry"]) == ("archived", 4, entry.prefix)
        assert (two["state"], two["reason"]) == ("pending", "about to be asked for")
        assert (three["state"], three["reason"]) == ("pending", "not asked for yet")
        journal.accept(second, {"id": "0af2" * 8, "type": "simple", "status": "pending"})
        journal.begin(intent(third, going_on))
        journal.end(
            third, Ended(at=datetime.now(UTC), outcome="failed", reason="the bucket is not registered")
        )
        one, two, three = shown(call("incident", "show", NEW, "--json"))["captures"]
        assert (two["reason"], two["capture_id"]) == ("it is being captured", "0af2" * 8)
        assert (three["state"], three["reason"]) == ("missing", "the bucket is not registered")
        lines = call("incident", "show", NEW).stdout.splitlines()
        [line] = [line for line in lines if line.startswith("during 1") and "registered" in line]
        assert line.split()[-1] == "missing"

    @pytest.mark.parametrize("width", [60, 80, 100])
    def test_no_word_is_broken_on_a_terminal(self, call, closed, on_terminal, width):
        text = on_terminal(width, "incident", "show", OLD)
        assert max(map(len, text.splitlines())) <= width
        words = set(call("incident", "show", OLD).stdout.split())
        assert set(text.split()) - words <= {"─" * width}

    def test_the_attack_s_end_stands_beside_when_it_was_told(self, call, incidents, going_on):
        ended = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=90)
        incidents.end(noted(NEW, alert("end", key="new", ended=ended, ago=timedelta(seconds=30))))
        found = shown(call("incident", "show", NEW, "--json"))
        assert found["ended"] == rfc3339(ended)
        assert found["end_told"] > found["ended"]
        text = call("incident", "show", NEW).stdout
        assert re.search(rf"attack ended +{stamp(ended)}\nend told +20", text)

    def test_an_ended_incident_with_running_captures_is_shown(self, call, incidents, going_on):
        incidents.end(noted(NEW, alert("end", key="new", ago=timedelta(minutes=1))))
        found = shown(call("incident", "show", NEW, "--json"))
        assert found["state"] == "ending"
        phases = [(part["phase"], part["number"]) for part in found["captures"]]
        assert phases == [("before", 2), ("before", 1), ("during", 1), ("after", 1)]
        assert set(found["plans"]) == {"At the start", "At the end"}

    def test_the_beginning_of_an_id_must_be_of_one(self, call, incidents, going_on):
        other = NEW[:5] + ("0" if NEW[5] != "0" else "1") + NEW[6:]
        incidents.open(noted(other, alert(key="other")))
        done = call("incident", "show", NEW[:5])
        assert (done.returncode, done.stdout) == (13, "")
        assert "2 incidents begin with" in done.stderr
        assert call("incident", "show", NEW[:6]).returncode == 0

    @pytest.mark.parametrize("wanted", ["ffff", "", "../captures", "*"])
    def test_an_unknown_incident_is_one_clear_line(self, call, closed, wanted):
        done = call("incident", "show", wanted)
        assert (done.returncode, done.stdout) == (13, "")
        assert "unknown incident" in done.stderr

    def test_a_record_that_cannot_be_read_hides_no_other_incident(self, call, shell, closed, going_on):
        record = shell.folder / "archive" / "incidents" / f"{OLD}.json"
        record.chmod(0o644)
        record.write_text("{")
        done = call("incident", "list", "--json")
        assert done.returncode == 10
        assert [each["id"] for each in json.loads(done.stdout)] == [NEW]
        assert "1 of the incidents cannot be read" in done.stderr
        assert call("incident", "show", OLD).returncode == 10

    def test_words_of_an_alert_cannot_control_the_terminal(self, call, incidents):
        incidents.open(noted(NEW, alert(kind="a\x1b[31m\x07b")))
        for done in (call("incident", "list"), call("incident", "show", NEW)):
            assert done.returncode == 0
            assert not CONTROL.search(done.stdout)


def intent(intent_id, opened):
    planned = opened.plan.captures[0]
    return Intent(
        intent_id=intent_id,
        account="default",
        request=planned.request,
        body={"type": "simple"},
        decided=datetime.now(UTC),
        archive="default",
    )


class TestWithTheBook:
    @pytest.fixture
    def inbox(self, shell):
        """The receiver's, which it has open."""
        with AlertInbox(shell.folder / ".edgecap" / INBOX) as inbox:
            yield inbox

    def settle(self, inbox, *alerts):
        (arrival,) = inbox.keep([("generic", b"{}", alerts[0].received)])
        inbox.settle(arrival, [(each, decide(each, POLICY)) for each in alerts])
        return inbox.incidents()[0].id

    def test_an_incident_that_prefect_does_not_know_yet_is_shown(self, call, store, inbox):
        incident = self.settle(inbox, alert())
        (found,) = shown(call("incident", "list", "--json"))
        assert (found["id"], found["state"]) == (incident, "waits for Prefect")
        assert found["not_sent"] == [{"event": "start", "refused": None}]
        assert found["captures"]
        assert "not sent to Prefect yet" in call("incident", "show", incident[:4]).stdout

    def test_an_order_that_prefect_refused_is_shown_with_the_reason(self, call, store, inbox):
        incident = self.settle(inbox, alert())
        inbox.refuse(inbox.orders()[0].id, "Prefect answered 422")
        done = call("incident", "show", incident)
        assert "refused by Prefect" in done.stdout
        assert "Prefect answered 422" in done.stdout

    def test_once_sent_it_starts_and_then_the_archive_tells(self, call, store, inbox, incidents):
        given = alert()
        incident = self.settle(inbox, given)
        inbox.sent(inbox.orders()[0].id, "run-1")
        found = shown(call("incident", "show", incident, "--json"))
        assert (found["state"], found["runs"], found["not_sent"]) == ("starting", {"start": "run-1"}, [])
        incidents.open(noted(incident, given))
        (found,) = shown(call("incident", "list", "--json"))
        assert (found["id"], found["state"]) == (incident, "open")

    def test_what_joined_and_what_was_repeated_is_counted_by_the_book(self, call, store, inbox, incidents):
        given = alert(ago=timedelta(minutes=2))
        incident = self.settle(inbox, given)
        self.settle(inbox, given)
        self.settle(inbox, alert(key="other", ago=timedelta(minutes=1)))
        incidents.open(noted(incident, given))
        found = shown(call("incident", "show", incident, "--json"))
        assert (found["joined"], found["repeated"]) == (1, 1)
        assert found["last"] > found["opened"]
        assert "1 joined" in call("incident", "show", incident).stdout

    def test_a_damaged_inbox_hides_no_incident(self, call, shell, going_on):
        (shell.folder / ".edgecap/alerts").mkdir(parents=True)
        (shell.folder / ".edgecap/alerts/book.db").write_bytes(b"no database" * 100)
        done = call("incident", "list", "--json")
        assert [each["id"] for each in shown(done)] == [NEW]
        assert "Without the receiver's inbox" in done.stderr
