"""What a store does not give is no damage: it is named as not read, and the rest is looked at."""

import itertools
from urllib.parse import urlsplit

import pytest

from edgecap.archive.entries import Entry, list_entries, read_entry
from edgecap.archive.layout import MANIFEST
from edgecap.archive.verify import verify_archive, verify_entry
from edgecap.errors import Damaged, StoreError, StoreUnreachable
from edgecap.stores import open_store
from edgecap.stores.folder import FolderStore
from tests.flaky_proxy import FlakyProxy


@pytest.fixture
def broken(impatient_s3):
    """An archive in S3, the same through a proxy with two attempts, and the proxy."""
    return impatient_s3(2)


@pytest.fixture
def entries(broken, capture, keep, two_servers):
    return [keep(broken[0], capture(f"{number}" * 32), two_servers) for number in range(3)]


def test_a_byte_flipped_on_the_way_is_no_damage(broken, entries):
    _, through, proxy = broken
    for _ in entries[0].manifest.files:
        proxy.flip(700)
    assert verify_entry(through, entries[0]) == []
    assert proxy.went_off == len(entries[0].manifest.files)


def test_an_unreadable_file_is_not_called_damaged_and_others_are_verified(broken, entries):
    _, through, proxy = broken
    name = entries[1].prefix + entries[1].manifest.files[1].name
    proxy.never = name.encode()
    verdicts = list(verify_archive(through))
    assert [(verdict.ok, verdict.damaged) for verdict in verdicts] == [
        (True, False),
        (False, False),
        (True, False),
    ]
    [problem] = verdicts[1].problems
    assert (problem.kind, problem.key) == ("unread", name)


def test_a_404_from_something_between_does_not_mean_missing(broken, entries):
    """A load balancer that lost its servers answers 404, and nothing has to be restored for that."""
    _, through, proxy = broken
    proxy.never, proxy.trouble = (entries[1].prefix + "manifest.json ").encode(), b"404 Not Found"
    [verdict] = [verdict for verdict in verify_archive(through) if not verdict.ok]
    assert ([problem.kind for problem in verdict.problems], verdict.damaged) == (["unread"], False)
    proxy.never = (entries[1].prefix + entries[1].manifest.files[1].name).encode()
    [problem] = verify_entry(through, entries[1])
    assert problem.kind == "unread"


def test_a_manifest_that_the_store_does_not_give_is_not_called_damaged(broken, entries):
    _, through, proxy = broken
    proxy.never = f"{entries[1].prefix}manifest.json ".encode()
    verdicts = list(verify_archive(through))
    assert [(verdict.ok, verdict.damaged) for verdict in verdicts] == [
        (True, False),
        (False, False),
        (True, False),
    ]
    assert [problem.kind for problem in verdicts[1].problems] == ["unread"]


def test_a_list_gives_readable_entries_and_then_names_the_others(broken, entries):
    _, through, proxy = broken
    proxy.never = f"{entries[1].prefix}manifest.json ".encode()
    found = list_entries(through)
    assert {entry.prefix for entry in itertools.islice(found, 2)} == {entries[0].prefix, entries[2].prefix}
    with pytest.raises(StoreUnreachable, match="1 entry could not be read: "):
        next(found)


def test_a_list_does_not_wait_for_thousands_of_manifests(broken, entries):
    _, through, proxy = broken
    proxy.never = b"manifest.json "
    with pytest.raises(StoreUnreachable, match="3 entries could not be read, and the rest was not looked at"):
        list(list_entries(through))


def test_a_manifest_changed_on_the_way_is_noticed(broken, entries):
    """It is valid JSON, and would be taken for what was written: the store's checksum says that it is not."""
    _, through, proxy = broken
    proxy.swap(b'"colo": "ORD"', b'"colo": "ATL"')
    assert read_entry(through, entries[0].prefix) == Entry(
        entries[0].manifest, entries[0].prefix, through.uri
    )
    assert proxy.went_off == 1


def test_verifying_ends_when_the_store_does_not_answer_any_more(broken, entries, capture, keep, two_servers):
    store, through, proxy = broken
    for number in range(3, 8):
        keep(store, capture(f"{number}" * 32), two_servers)
    verdicts = verify_archive(through)
    assert next(verdicts).ok
    proxy.away = True
    assert [next(verdicts).damaged for _ in range(3)] == [False, False, False]
    with pytest.raises(StoreUnreachable):
        next(verdicts)


class Refusing:
    """An archive in which some manifests lie where they must be restored from first."""

    def __init__(self, store, ids):
        self.store = store
        self.ids = ids

    def open(self, key, **more):
        if any(each in key for each in self.ids):
            raise StoreError("the object is in an archive class", where=key)
        return self.store.open(key, **more)

    def __getattr__(self, name):
        return getattr(self.store, name)


def test_refusals_that_come_at_once_hide_no_other_entry(broken, entries, capture, keep, two_servers):
    store, _, _ = broken
    for number in range(3, 8):
        keep(store, capture(f"{number}" * 32), two_servers)
    found = list_entries(Refusing(store, [f"{number}" * 32 for number in (1, 3, 5, 6)]))
    assert {next(found).manifest.entry_id[0] for _ in range(4)} == {"0", "2", "4", "7"}
    with pytest.raises(StoreError, match="4 entries could not be read: the object is in an archive class"):
        next(found)


def test_damage_does_not_hide_files_that_could_not_be_read(broken, entries):
    store, _, _ = broken
    store.delete(entries[0].prefix + "manifest.json")
    store.put(entries[0].prefix + "manifest.json", b"{}")
    found = list_entries(Refusing(store, ["1" * 32]))
    assert next(found).manifest.entry_id == "2" * 32
    with pytest.raises(Damaged, match="1 manifest cannot be read; 1 entry could not be read"):
        next(found)


@pytest.fixture
def unvouched(place_of):
    """As `broken`; answers say that a key of KMS was used, so the ETag is no MD5, and state nothing else."""
    place = place_of("s3")
    with FlakyProxy(urlsplit(place.endpoint_url).port) as proxy:
        proxy.headers = {"x-amz-server-side-encryption": "aws:kms"}
        yield open_store(place), open_store(place.model_copy(update={"endpoint_url": proxy.url})), proxy


@pytest.fixture
def unvouched_entry(unvouched, capture, keep, two_servers):
    entry = keep(unvouched[0], capture(), two_servers)
    assert unvouched[1].stat(entry.prefix + MANIFEST).checksums == ()
    return entry


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"colo": "ORD"', b'"colo": "ATL"'), (b'{\n  "', b'[\n  "'), (b'"size": ', b'"siZe": ')],
    ids=["another value", "no JSON", "another name"],
)
def test_a_record_of_which_nothing_is_stated_has_to_come_twice(unvouched, unvouched_entry, old, new):
    """The first read has a flipped byte, the second and the third agree."""
    _, through, proxy = unvouched
    proxy.swap(old, new)
    assert read_entry(through, unvouched_entry.prefix).manifest == unvouched_entry.manifest
    assert (proxy.went_off, len(proxy.starts)) == (1, 3)


def test_a_record_that_comes_differently_each_time_is_damaged(unvouched, unvouched_entry):
    _, through, proxy = unvouched
    for other in (b"ATL", b"AMS", b"LHR"):
        proxy.swap(b'"colo": "ORD"', b'"colo": "%s"' % other)
    with pytest.raises(Damaged, match="3 reads gave different bytes"):
        read_entry(through, unvouched_entry.prefix)
    assert proxy.went_off == 3


def test_list_reads_a_manifest_twice_only_if_it_has_no_checksum(unvouched, unvouched_entry):
    _, through, proxy = unvouched
    assert [entry.prefix for entry in list_entries(through)] == [unvouched_entry.prefix]
    assert len(proxy.starts) == 2
    proxy.headers = {}
    assert [entry.prefix for entry in list_entries(through)] == [unvouched_entry.prefix]
    assert len(proxy.starts) == 2 + 1


def test_a_record_in_a_folder_is_read_once(tmp_path, capture, keep, two_servers):
    """A second read would come out of the same memory."""
    opened = []

    class Counting(FolderStore):
        def open(self, key, **more):
            opened.append(key)
            return super().open(key, **more)

    folder = Counting(tmp_path)
    entry = keep(folder, capture(), two_servers)
    opened.clear()
    assert read_entry(folder, entry.prefix).manifest == entry.manifest
    manifest = tmp_path / entry.prefix / MANIFEST
    manifest.chmod(0o600)
    manifest.write_bytes(b"[" + manifest.read_bytes()[1:])
    with pytest.raises(Damaged, match="no manifest"):
        read_entry(folder, entry.prefix)
    assert opened == [entry.prefix + MANIFEST] * 2
