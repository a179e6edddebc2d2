"""What reports are made of, from a real archive."""

import pytest

from edgecap.archive.summaries import find_summary, read_summary
from edgecap.errors import StoreMissing
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.overview import Overviews
from edgecap.incidents.record import Part
from edgecap.report.loading import Pictured, beside_before, pictured
from edgecap.simulator.corpus.build import Spec, build
from tests.edgecap.report.archive import damage_manifest, keep_summary, open_archive
from tests.edgecap.report.incidents import ID, attack
from tests.edgecap.report.summaries import FLOOD, REFLECTION, entry_of, flood, reflection


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


@pytest.fixture
def store(folder):
    return open_archive(folder)


def test_a_summary_comes_back_as_it_was_written(store):
    assert read_summary(store, keep_summary(store, flood())) == flood()


def test_an_entry_without_a_summary_has_a_remark(store):
    summary, remark = find_summary(store, entry_of())
    assert summary is None
    assert remark.startswith("This capture has no summary")


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"format": "edgecap-summary/1"}', b'{"format": "other/1", "verdict": "x"}', b"\xff"],
)
def test_an_unreadable_summary_is_none_with_a_reason(store, text):
    summary, remark = find_summary(store, keep_summary(store, flood(), text=text))
    assert summary is None
    assert remark.startswith("The summary cannot be read (this is no summary")


def test_a_missing_summary_is_none_with_a_reason(store, folder):
    entry = keep_summary(store, flood())
    (folder / entry.prefix / "summary.json").unlink()
    assert find_summary(store, entry)[1].startswith("The summary, summary.json, is missing")


def test_fields_of_a_newer_version_are_ignored(store):
    newer = flood().model_copy(update={"mood": "calm"})
    assert read_summary(store, keep_summary(store, newer)).verdict == flood().verdict


def test_a_missing_store_is_an_error_and_not_a_missing_summary(store, folder):
    entry = keep_summary(store, flood())
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(StoreMissing):
        read_summary(store, entry)


def test_captures_of_an_incident_come_with_all_that_is_known(store, folder):
    """One is there, one lost its manifest, one was taken away, one never was."""
    incident, captures = attack()
    there = keep_summary(store, reflection(), capture_id=REFLECTION, type="simple", colo="")
    broken = keep_summary(store, flood(), capture_id=FLOOD)
    damage_manifest(folder, broken)
    parts = list(incident.record.captures)
    parts[0] = parts[0].model_copy(update={"entry": there.prefix})
    parts[1] = parts[1].model_copy(update={"entry": broken.prefix})
    incidents = Incidents(store)
    incidents.open(incident.opened)
    incidents.end(incident.ended)
    incidents.close(incident.record.model_copy(update={"captures": tuple(parts)}))
    overviews = Overviews(store, None)
    found = {
        (each.part.phase, each.part.number): each
        for each in pictured(store, overviews, overviews.find(ID[:6]))
    }
    assert found[parts[0].phase, parts[0].number].summary == reflection()
    assert found[parts[1].phase, parts[1].number].remark.startswith("its manifest cannot be read")
    remarks = [each.remark for each in found.values() if each.remark]
    assert remarks.count("its entry is no longer in the archive") == 2
    assert found["during", 2].part.state == "missing"
    assert all(each.planned for each in found.values())
    assert len(found) == len(captures)


def test_captures_of_an_attack_are_judged_beside_those_before_it():
    """The capture from before was archived last: the others were judged without it."""
    made = build(
        Spec(304, ("game",), sampling=100, filter="port", attack="udp-one-port", strength=10_000, baseline=1)
    )

    def shown(phase, summary):
        part = Part(phase=phase, number=1, request="", why="", state="archived", capture_id=phase)
        return Pictured(part, summary=summary)

    during, before = beside_before([shown("during", made.summary), shown("before", made.before[0])])
    assert made.summary.baseline is None
    assert (during.summary.baseline.kind, during.summary.baseline.captures) == ("incident", ("before",))
    assert during.summary.strength == "likely"
    assert "more-than-usual" in {sign.name for each in during.summary.vectors for sign in each.signs}
    assert before.summary == made.before[0]
    other = made.before[0].model_copy(
        update={"conditions": made.before[0].conditions.model_copy(update={"filter": "tcp"})}
    )
    alone, _ = beside_before([shown("during", made.summary), shown("before", other)])
    assert alone.summary == made.summary
