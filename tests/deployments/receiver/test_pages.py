"""Reports as the receiver serves them: to who knows the token, from a real archive, never before an alert."""

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from deployments.receiver.app import Health, Receiver
from deployments.receiver.inbox_writer import GroupCommit
from deployments.receiver.log import MOST
from deployments.receiver.metrics import Metrics
from deployments.receiver.pages import AT_WORK, WAITING, ReportPages
from deployments.receiver.serve import Receiving
from edgecap.incidents.incidents import Incidents
from edgecap.settings import Settings
from edgecap.settings.alerts import ReceiverSettings
from tests.browser import chromium, visit
from tests.deployments.conftest import SECRET, attack, http, served
from tests.edgecap.report.archive import damage_manifest, keep_summary, open_archive
from tests.edgecap.report.incidents import ID
from tests.edgecap.report.incidents import attack as incident_over
from tests.edgecap.report.summaries import FLOOD, REFLECTION, START, flood, quiet

TOKEN = "token-of-the-reports: ümlaut"
BEARER = {"authorization": b"Bearer " + TOKEN.encode()}


def basic(password, user="anybody"):
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


@pytest.fixture
def store(folder):
    return open_archive(folder)


@pytest.fixture
def serve(enabled, inbox):
    """Serves a receiver with these reports, which writes into the inbox."""
    with GroupCommit(inbox.keep, lambda _: None) as writer:

        def make(reports):
            app = Receiver(
                enabled,
                writer.keep,
                health=lambda: Health("", 0, 0, "answers"),
                metrics=Metrics(),
                reports=reports,
            )
            return served(app.application())

        yield make


@pytest.fixture
def address(serve, store, inbox):
    pages = ReportPages(TOKEN, lambda: store, inbox)
    with serve(pages) as address:
        yield address
    pages.close()


def test_a_request_with_the_token_gets_the_page(address, store):
    keep_summary(store, flood())
    for headers in (BEARER, basic(TOKEN), basic(TOKEN, user="")):
        answer = http.get(f"{address}/captures/{FLOOD}", headers=headers)
        assert answer.status_code == 200
        assert f"<h1>{flood().verdict}</h1>" in answer.text


def test_headers_forbid_caching_framing_sniffing_and_referrers(address, store):
    keep_summary(store, flood())
    head = http.get(f"{address}/captures/{FLOOD[:6]}", headers=BEARER).headers
    assert head["content-type"] == "text/html; charset=utf-8"
    assert head["cache-control"] == "no-store"
    assert head["x-content-type-options"] == "nosniff"
    assert head["referrer-policy"] == "no-referrer"
    assert head["content-security-policy"].startswith(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    assert "frame-ancestors 'none'" in head["content-security-policy"]
    assert "set-cookie" not in head


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {SECRET}"},
        {"authorization": b"Token " + TOKEN.encode()},
        {"authorization": "Basic not-base64"},
        {"authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        basic(""),
        basic(TOKEN + "x"),
        basic("anybody", user=TOKEN),
    ],
)
def test_a_request_without_the_token_is_asked_for_it(address, store, headers):
    keep_summary(store, flood())
    for path in (f"/captures/{FLOOD}", "/captures/none", f"/incidents/{ID}"):
        answer = http.get(address + path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="edgecap", charset="UTF-8"'
        assert "SYN" not in answer.text
        assert FLOOD not in answer.text


def test_the_token_is_not_taken_from_the_address(address, store):
    keep_summary(store, flood())
    for query in (f"?token={TOKEN}", f"?access_token={TOKEN}", f"?report_token={TOKEN}"):
        assert http.get(f"{address}/captures/{FLOOD}{query}").status_code == 401


def test_without_a_token_there_is_nothing_there(serve, store):
    keep_summary(store, flood())
    with serve(None) as address:
        nowhere = http.get(f"{address}/nothing", headers=BEARER)
        for path in (f"/captures/{FLOOD}", f"/incidents/{ID}"):
            answer = http.get(address + path, headers=BEARER)
            assert (answer.status_code, answer.text) == (404, nowhere.text)
            assert "www-authenticate" not in answer.headers


def test_an_empty_token_admits_no_request():
    with pytest.raises(ValueError, match="reports need a token"):
        ReportPages("", lambda: None)


@pytest.mark.parametrize(("token", "on"), [(None, False), ("", False), ("  ", False), (TOKEN, True)])
def test_the_setting_switches_them_on(tmp_path, token, on):
    settings = Settings.model_validate(
        {
            "home": tmp_path,
            "alerts": {"cloudflare": {"secret": SECRET}},
            "receiver": {"report_token": token},
            "archives": {"default": {"uri": f"file:{tmp_path}"}},
        }
    )
    with (
        Receiving(settings, prefect=lambda: "") as receiving,
        served(receiving.receiver().application()) as address,
    ):
        answer = http.get(f"{address}/captures/none", headers=BEARER)
        assert ("There is no entry" in answer.text) is on
        assert answer.status_code == 404
        assert TOKEN not in repr(settings)


@pytest.mark.parametrize(
    "wanted", ["0000", "..", "%2e%2e%2fmanifest.json", "a%00b", "%3Cscript%3E", "x" * 300]
)
def test_an_unknown_page_is_404_and_not_echoed_as_markup(address, wanted):
    for kind in ("captures", "incidents"):
        answer = http.get(f"{address}/{kind}/{wanted}", headers=BEARER)
        assert answer.status_code == 404
        assert "<script" not in answer.text.lower()


def test_only_reading_is_possible(address, store, folder):
    keep_summary(store, flood())
    before = sorted(path for path in folder.rglob("*"))
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert http.request(method, f"{address}/captures/{FLOOD}", headers=BEARER).status_code == 405
    assert http.get(f"{address}/captures/{FLOOD}", headers=BEARER).status_code == 200
    assert sorted(path for path in folder.rglob("*")) == before


def test_an_unreadable_entry_is_reported_without_its_location(address, store, folder):
    damage_manifest(folder, keep_summary(store, flood()))
    answer = http.get(f"{address}/captures/{FLOOD}", headers=BEARER)
    assert answer.status_code == 500
    assert "this version reads" in answer.text
    assert str(folder) not in answer.text


def test_a_summary_that_cannot_be_read_leaves_the_manifest(address, store):
    keep_summary(store, flood(), text=b"{")
    answer = http.get(f"{address}/captures/{FLOOD}", headers=BEARER)
    assert answer.status_code == 200
    assert "The summary cannot be read" in answer.text


def test_an_unreachable_archive_is_503_until_it_is_back(address, store, folder):
    keep_summary(store, flood())
    folder.rename(folder.with_name("away"))
    answer = http.get(f"{address}/captures/{FLOOD}", headers=BEARER)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert str(folder) not in answer.text
    folder.with_name("away").rename(folder)
    assert http.get(f"{address}/captures/{FLOOD}", headers=BEARER).status_code == 200


def test_an_incident_is_served_with_links_to_its_captures(address, store):
    incident, _ = incident_over()
    kept = keep_summary(store, flood())
    parts = [
        part.model_copy(update={"entry": kept.prefix}) if part.phase == "during" and part.entry else part
        for part in incident.record.captures
    ]
    incidents = Incidents(store)
    incidents.open(incident.opened)
    incidents.close(incident.record.model_copy(update={"captures": tuple(parts)}))
    answer = http.get(f"{address}/incidents/{ID[:8]}", headers=BEARER)
    assert answer.status_code == 200
    assert f'href="/captures/{FLOOD}"' in answer.text
    assert "its entry is no longer in the archive" in answer.text


def test_guessed_tokens_do_not_fill_the_log_or_appear_in_it(address, store, caplog):
    """Every refused request logs the same kind of line, so the log limits all of them together."""
    keep_summary(store, flood())
    for number in range(MOST + 5):
        http.get(f"{address}/captures/guess-{number}", headers=basic(f"guess-{number}"))
    http.get(f"{address}/captures/{FLOOD}", headers=BEARER)
    records = [record for record in caplog.records if record.name == "edgecap.receiver"]
    assert len({record.msg for record in records}) == 1
    assert "guess" not in caplog.text
    assert TOKEN not in caplog.text


class SlowArchive:
    """An archive whose answers can be held back."""

    def __init__(self, store):
        self._store = store
        self.uri = store.uri
        self.may = threading.Event()

    def list(self, prefix=""):
        assert self.may.wait(240)
        return self._store.list(prefix)

    def __getattr__(self, name):
        return getattr(self._store, name)


def test_hanging_reports_delay_no_alert_and_further_ones_are_refused(serve, store, inbox):
    keep_summary(store, quiet(), capture_id=REFLECTION)
    slow = SlowArchive(store)
    pages = ReportPages(TOKEN, lambda: slow, inbox)
    at_once = AT_WORK + WAITING
    with serve(pages) as address, ThreadPoolExecutor(at_once) as readers:

        def read():
            return httpx.get(f"{address}/captures/{REFLECTION}", headers=BEARER, timeout=240, trust_env=False)

        reading = [readers.submit(read) for _ in range(at_once)]
        deadline = time.monotonic() + 240
        while repr(pages) != f"<ReportPages [{at_once} under way]>":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        refused = http.get(f"{address}/captures/{REFLECTION}", headers=BEARER)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        for number in range(20):
            answer = http.post(
                f"{address}/alerts/cloudflare", json=attack(number), headers={"cf-webhook-auth": SECRET}
            )
            assert answer.status_code == 202
        assert repr(pages) == f"<ReportPages [{at_once} under way]>"  # they hang all the while
        slow.may.set()
        assert [each.result().status_code for each in reading] == [200] * at_once
    pages.close()


def test_a_browser_asks_for_the_token_and_then_shows_the_page(address, store):
    keep_summary(store, flood(START - timedelta(minutes=5)))
    login = {"http_credentials": {"username": "on-call", "password": "token"}}
    with chromium() as browser:
        with visit(browser, f"{address}/captures/{FLOOD}", **login) as refused:
            assert refused.page.inner_text("h1") == "The token is missing or wrong."
        login["http_credentials"]["password"] = TOKEN
        with visit(browser, f"{address}/captures/{FLOOD}", **login) as seen:
            assert seen.page.inner_text("h1") == flood().verdict
            assert [line for line in seen.complaints if "401" not in line and "favicon" not in line] == []
            assert set(seen.requests) <= {f"{address}/captures/{FLOOD}", f"{address}/favicon.ico"}


@pytest.mark.parametrize(
    "url", ["edgecap.example.net", "https://user:secret@host", "https://host/?q", "javascript:x"]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match=r"an address such as https://edgecap\.example\.net"):
        ReceiverSettings(report_url=url)


@pytest.mark.parametrize("url", ["https://edgecap.example.net", "http://127.0.0.1:4280", "https://host/edge"])
def test_an_address_loses_its_last_slash(url):
    assert ReceiverSettings(report_url=url + "/").report_url == url
