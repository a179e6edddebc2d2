"""Entries in a real archive, with a summary in them, as a capture leaves them."""

import hashlib

from edgecap.archive.commit import commit, put_file
from edgecap.archive.layout import MANIFEST
from edgecap.archive.manifest import FileRecord
from edgecap.archive.text import to_json
from edgecap.settings import StoreLocation
from edgecap.stores import open_store
from tests.edgecap.report.summaries import entry_of


def open_archive(folder):
    folder.mkdir(exist_ok=True)
    return open_store(StoreLocation(uri=f"file:{folder}"))


def keep_summary(store, summary, *, text=None, **more):
    """Archive an entry of a summary, whose file holds `text` if that is given.

    Its packets are not there: reports do not look at them.
    """
    planned = entry_of(summary, raw=("raw/all.pcap",), **more)
    data = to_json(summary) if text is None else text
    digest = hashlib.sha256(data).hexdigest()
    name = put_file(store, planned.prefix, "summary.json", data, size=len(data), sha256=digest)
    record = FileRecord(name=name, size=len(data), sha256=digest, role="summary")
    raw = b"packets"
    raw_digest = hashlib.sha256(raw).hexdigest()
    kept = put_file(store, planned.prefix, "raw/all.pcap", raw, size=len(raw), sha256=raw_digest)
    first = planned.manifest.files[0]
    raw_record = first.model_copy(update={"name": kept, "size": len(raw), "sha256": raw_digest})
    return commit(store, planned.manifest.model_copy(update={"files": (raw_record, record)}))


def damage_manifest(folder, entry):
    (folder / entry.prefix / MANIFEST).write_text('{"format": "edgecap/1"')
