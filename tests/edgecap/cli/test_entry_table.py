"""The table of entries at every width: nothing is broken that a person copies, and the verdict stays."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from edgecap.archive.entries import Entry
from edgecap.archive.manifest import Times, make_manifest
from edgecap.cli.entry_table import ListedEntry, print_entries
from edgecap.cloudflare.models import Capture
from edgecap.packets.residual import Residual
from edgecap.requests import rfc3339

VERDICT = "Likely SYN flood on 203.0.113.7:443, peak 3,110 packets/s; 1 more finding."
WIDTHS = [60, 80, 100, 140, 200, 300]
IDS = [f"{number}0af1{'7be2' * 6}abc" for number in range(3)]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def listed(capture_id, verdict=VERDICT, **more):
    answer = {
        "id": capture_id,
        "type": "full",
        "status": "success",
        "colo_name": "ams01",
        "submitted": rfc3339(datetime.now(UTC) - timedelta(minutes=5)),
        "filter_v1": {"destination_address": "203.0.113.7", "destination_port": 443, "protocol": 6},
        **more,
    }
    manifest = make_manifest(Capture.model_validate(answer), [], times=Times())
    return ListedEntry(Entry(manifest, manifest.prefix, "file:/var/lib/edgecap"), verdict)


def shown(width, entries=None, **more):
    stream = Terminal()
    out = Console(file=stream, width=width, color_system=None, highlight=False, markup=False)
    print_entries(out, entries or [listed(each) for each in IDS], **more)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(width):
    assert max(map(len, shown(width))) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_ids_stand_in_one_piece_and_tell_entries_apart(width):
    rows = [line.split() for line in shown(width) if "0af1" in line]
    found = [next(word for word in row if "0af1" in word) for row in rows]
    assert [any(whole.startswith(each) for whole in IDS) for each in found] == [True] * 3
    assert len(set(found)) == 3
    assert min(map(len, found)) >= 8


def test_ids_that_begin_alike_are_cut_where_they_differ():
    lines = shown(80, [listed("0af1" * 2 + "1" + "7" * 23), listed("0af1" * 2 + "2" + "7" * 23)])
    assert [word for line in lines for word in line.split() if "0af1" in word] == ["0af10af11", "0af10af12"]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_narrow_terminal_gets_the_whole_verdict_below_each_row(width):
    lines = shown(width)
    assert "verdict" not in lines[0]
    assert " ".join(" ".join(lines).split()).count(VERDICT) == 3


def test_a_wider_terminal_gets_more_columns_if_they_fit():
    titles = [shown(width)[0].split()[2:] for width in (100, 200, 300)]
    first = ["id", "what", "where", "packets"]
    assert titles == [
        first,
        [*first, "verdict", "state", "bytes", "files"],
        [*first, "verdict", "state", "bytes", "files", "path"],
    ]
    assert [len(shown(width)) for width in (100, 200, 300)] == [7, 4, 4]


@pytest.mark.parametrize("width", [*WIDTHS, 160, 180])
@pytest.mark.parametrize(
    ("state", "flags", "told"),
    [
        ("complete", ("limit-reached",), "limit-reached"),
        ("empty", ("empty",), "empty"),
        ("partial", ("partial", "too-large"), "too-large"),
    ],
)
def test_neither_verdict_nor_state_is_ever_hidden(width, state, flags, told):
    one = listed(IDS[0])
    manifest = one.entry.manifest.model_copy(update={"state": state, "flags": flags})
    text = " ".join(" ".join(shown(width, [ListedEntry(Entry(manifest, "", ""), VERDICT)])).split())
    assert VERDICT in text
    assert told in text
    assert state in text or state == "complete"


def test_a_chosen_path_is_never_cut_or_wrapped():
    lines = shown(60, columns=("when", "what", "path"))
    assert sum(line.startswith("/var/lib/edgecap/captures/") and line.endswith("/") for line in lines) == 3


def test_incomplete_entries_say_so_before_their_verdict():
    entry = listed(IDS[0])
    partial = entry.entry.manifest.model_copy(update={"state": "partial"})
    assert ListedEntry(Entry(partial, "", ""), VERDICT).shown_verdict == f"partial: {VERDICT}"


def test_packets_say_kept_and_fetched_where_they_differ():
    manifest = listed(IDS[0]).entry.manifest
    totals = manifest.totals.model_copy(update={"packets": 1426})
    residual = Residual(expression="net 203.0.113.0/24", packets=1426, kept=976)
    filtered = manifest.model_copy(update={"totals": totals, "residual": residual})
    assert ListedEntry(Entry(filtered, "", ""), "").packets == "976 of 1,426"
    assert ListedEntry(Entry(filtered.model_copy(update={"residual": None}), "", ""), "").packets == "1,426"


def test_texts_from_elsewhere_cannot_control_the_terminal():
    assert "\x1b" not in "".join(shown(200, [listed(IDS[0], "a\x1b[31mb\tc")]))
