import pytest

from edgecap.incidents.inbox.alert_inbox import AlertInbox


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts" / "book.db"


@pytest.fixture
def inbox(path):
    with AlertInbox(path) as opened:
        yield opened
