"""What is decided once: the body that is posted, and what its filter leaves to do."""

import json
from datetime import UTC, datetime

import pytest

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Intent
from edgecap.captures.intent import decide
from edgecap.captures.order import CaptureOrder
from edgecap.errors import InvalidRequest
from edgecap.filters.of_request import residual
from edgecap.requests import Filter, FullRequest, SimpleRequest
from edgecap.settings import Settings
from edgecap.stores.folder import FolderStore

NOW = datetime(2026, 11, 23, 6, 34, 6, 123456, tzinfo=UTC)


def decided(request, **bounds):
    return decide(CaptureOrder(request, "r1", "calm-otter", archive="main"), Settings(bounds=bounds), now=NOW)


def test_the_body_has_the_api_s_part_and_residual_the_rest():
    request = FullRequest(
        colo="ORD",
        filter=Filter(destination_address="203.0.113.7"),
        expression="udp and src port 53 and src net 198.51.100.0/24",
    )
    intent = decided(request)
    assert intent.body["filter_v1"] == {
        "destination_address": "203.0.113.7",
        "source_port": 53,
        "protocol": 17,
    }
    assert intent.residual == residual(request, Settings().bounds) == "src net 198.51.100.0/24"
    wide = decided(request, cidr_filters=True)
    assert wide.body["filter_v1"]["source_address"] == "198.51.100.0/24"
    assert wide.residual == ""


@pytest.mark.parametrize("expression", ["udp and", "host example.net", "udp"])
def test_nothing_is_decided_on_an_expression_that_cannot_be_applied(expression):
    with pytest.raises(InvalidRequest):
        decided(SimpleRequest(filter=Filter(protocol=6), expression=expression))


def test_it_survives_the_journal_and_records_without_it_still_read(tmp_path):
    intent = decided(SimpleRequest(expression="udp and less 100"))
    journal = Journal(FolderStore(tmp_path))
    assert journal.begin(intent) == journal.find(intent.intent_id).intent == intent
    old = json.loads(decided(SimpleRequest()).model_dump_json())
    del old["residual"], old["request"]["expression"]
    read = Intent.model_validate(old)
    assert (read.residual, read.request.expression) == ("", "")
