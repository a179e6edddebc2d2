"""Verifying finds every way in which an archive can differ from its manifests, and nothing else."""

import json
from pathlib import Path

import pytest

from edgecap.archive.entries import find_entry
from edgecap.archive.verify import KINDS, verify_archive, verify_entry
from edgecap.settings import StoreLocation
from edgecap.stores import open_store


@pytest.fixture
def entry(store, capture, keep, two_servers):
    return keep(store, capture(), two_servers)


def replace(store, key: str, change) -> None:
    with store.open(key) as reader:
        data = b"".join(reader)
    store.delete(key)
    store.put(key, change(data))


def kinds(problems) -> list[str]:
    assert all(problem.kind in KINDS for problem in problems)
    assert all("\n" not in str(problem) for problem in problems)
    return [problem.kind for problem in problems]


def test_an_untouched_entry_has_no_problems(store, entry):
    assert verify_entry(store, entry) == []
    (verdict,) = verify_archive(store)
    assert (verdict.entry, verdict.problems, verdict.ok) == (entry, [], True)


def test_every_byte_that_is_read_can_be_watched(store, entry):
    one, all_of_them = [], []
    verify_entry(store, entry, watch=one.append)
    list(verify_archive(store, watch=all_of_them.append))
    size = sum(file.size for file in entry.manifest.files)
    assert sum(map(len, one)) == sum(map(len, all_of_them)) == size


def test_a_missing_file_is_found(store, entry):
    store.delete(entry.prefix + "raw/ord02-s1.pcap")
    (problem,) = verify_entry(store, entry)
    assert str(problem) == f"missing: {entry.prefix}raw/ord02-s1.pcap: it is not there"


def test_one_flipped_bit_is_found(store, entry):
    replace(store, entry.prefix + "raw/ord02-s1.pcap", lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    assert kinds(verify_entry(store, entry)) == ["hash"]


def test_a_flipped_length_is_found_by_hash_and_by_packets(store, entry):
    replace(store, entry.prefix + "raw/ord02-s1.pcap", lambda data: data[:32] + b"\xff" + data[33:])
    assert kinds(verify_entry(store, entry)) == ["hash", "packets"]


def test_another_size_is_found(store, entry):
    replace(store, entry.prefix + "raw/ord02-s1.pcap", lambda data: data[:-1])
    assert kinds(verify_entry(store, entry)) == ["size"]


def test_an_extra_file_is_found_and_harmless(store, entry):
    store.put(entry.prefix + "notes.txt", b"?")
    assert kinds(verify_entry(store, entry)) == ["extra"]
    assert next(verify_archive(store)).ok


def test_totals_that_do_not_add_up_are_found(store, entry):
    def change(data: bytes) -> bytes:
        manifest = json.loads(data)
        manifest["totals"]["packets"] += 1
        return json.dumps(manifest).encode()

    replace(store, entry.prefix + "manifest.json", change)
    problems = verify_entry(store, find_entry(store, entry.manifest.entry_id))
    assert kinds(problems) == ["totals"]
    assert "packets is 9, and its files have 8" in problems[0].what


def test_an_unreadable_manifest_is_found(store, entry):
    replace(store, entry.prefix + "manifest.json", lambda data: data[: len(data) // 2])
    (verdict,) = verify_archive(store)
    assert (verdict.entry, kinds(verdict.problems), verdict.ok) == (None, ["unreadable"], False)


def test_files_without_a_manifest_are_named_but_lose_nothing(store, entry):
    store.delete(entry.prefix + "manifest.json")
    (verdict,) = verify_archive(store)
    assert (kinds(verdict.problems), verdict.ok) == (["unfinished"], True)
    assert verdict.problems[0].what == "3 files, and no manifest"


def test_files_that_belong_to_no_entry_are_named(store, entry):
    store.put("captures/2026/readme.txt", b"?")
    store.put("captures/2027/readme.txt", b"?")
    verdicts = list(verify_archive(store))
    assert [kinds(verdict.problems) for verdict in verdicts] == [[], ["stray", "stray"]]


def test_a_manifest_in_the_wrong_place_is_found(store, entry):
    moved = entry.prefix.replace("/23/2026-11-23", "/24/2026-11-24")
    for info in list(store.list(entry.prefix)):
        with store.open(info.key) as reader:
            store.put(info.key.replace(entry.prefix, moved), b"".join(reader))
    verdicts = list(verify_archive(store))
    assert [kinds(verdict.problems) for verdict in verdicts] == [[], ["misplaced"]]


def test_a_file_that_vanishes_is_one_problem_not_a_crash(tmp_path, capture, keep, two_servers):
    store = open_store(StoreLocation(uri=f"file:{tmp_path}"))
    entry = keep(store, capture(), two_servers)

    class Failing:
        """A store from which one file vanishes between being listed and being read."""

        def open(self, key, **more):
            real = store.open(key, **more)
            if key.endswith("ord02-s1.pcap"):
                (Path(tmp_path) / key).unlink()
            return real

        def __getattr__(self, name):
            return getattr(store, name)

    assert kinds(verify_entry(Failing(), entry)) == ["missing"]


def test_every_entry_of_an_archive_is_verified_on_its_own(store, capture, keep, two_servers):
    entries = [keep(store, capture(f"{i}" * 32), two_servers) for i in range(3)]
    replace(store, entries[1].prefix + "summary.json", bytes.upper)
    verdicts = list(verify_archive(store))
    assert [verdict.prefix for verdict in verdicts] == [entry.prefix for entry in entries]
    assert [verdict.ok for verdict in verdicts] == [True, False, True]
