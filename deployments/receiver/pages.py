"""Reports for readers with the token: read-only pages beside the routes for alerts, which they never delay.

::

    GET  /captures/<id>     200: the page of an entry; the beginning of an id will do
    GET  /incidents/<id>    200: the page of an incident; likewise
                            401 no token, or a wrong one   404 no such thing   503 too many at once, or
                            the archive does not answer

Without a token in the settings there are no such routes, and the answer is 404 as for anything else.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.receiver.senders import sender_of
from edgecap.archive.entries import find_entry
from edgecap.archive.summaries import find_summary
from edgecap.errors import Damaged, EdgecapError, EntryMissing
from edgecap.incidents.inbox.alert_inbox import AlertInbox
from edgecap.incidents.overview import Overviews
from edgecap.report.entry import entry_html
from edgecap.report.incident import incident_html
from edgecap.report.links import CAPTURES, HERE, INCIDENTS
from edgecap.report.loading import pictured, proposed
from edgecap.report.rendering import POLICY, message_html
from edgecap.stores.base import Store

AT_WORK = 2  # pages that are made at a time; alerts have the rest of the processor
WAITING = 8  # that may wait for their turn; more are told to come again
REALM = "edgecap"
_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")
_HEADERS = {
    # Of frames, the policy in the page itself may not speak.
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_log = logging.getLogger("edgecap.receiver")


class ReportPages:
    """Serves reports.

    Args:
        token: what a reader must know; never empty.
        store: opens the archive; called once, for the first page.
        inbox: the receiver's, or None.
    """

    def __init__(self, token: str, store: Callable[[], Store], inbox: AlertInbox | None = None) -> None:
        if not token:
            raise ValueError("reports need a token")
        self._token = token.encode()
        self._open = store
        self._store: Store | None = None
        self._inbox = inbox
        self._threads = ThreadPoolExecutor(AT_WORK, thread_name_prefix="report")
        self._under_way = 0

    def __repr__(self) -> str:
        return f"<ReportPages [{self._under_way} under way]>"

    def change_token(self, token: str) -> None:
        """Let readers in with another token from now on; an empty one changes nothing."""
        self._token = token.encode() or self._token

    def close(self) -> None:
        """Make no more pages; those that wait for their turn are given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def routes(self) -> list[Route]:
        """What an app needs to serve them."""
        return [
            Route(f"{CAPTURES}{{id}}", self._answers(self._capture), methods=["GET"]),
            Route(f"{INCIDENTS}{{id}}", self._answers(self._incident), methods=["GET"]),
        ]

    def lets_in(self, authorization: str) -> bool:
        """Whether a header `Authorization` holds the token, compared in constant time.

        Args:
            authorization: `Bearer TOKEN`, or `Basic` with any user and the token as the password.
        """
        scheme, _, given = authorization.strip().partition(" ")
        given = given.strip()
        if scheme.lower() == "basic":
            try:
                decoded = base64.b64decode(given, validate=True)
            except (binascii.Error, ValueError):
                return False
            return hmac.compare_digest(decoded.partition(b":")[2], self._token)
        # A header's bytes arrive as the characters of Latin-1, whatever they are.
        return scheme.lower() == "bearer" and hmac.compare_digest(
            given.encode("latin-1", "replace"), self._token
        )

    def _answers(self, make: Callable[[str], str]) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            return await self._answer(request, make)

        return answer

    async def _answer(self, request: Request, make: Callable[[str], str]) -> Response:
        if not self.lets_in(request.headers.get("authorization", "")):
            _log.warning(
                "a report was refused: its token is missing or wrong (asked for from %s)",
                sender_of(request).address,
            )
            challenge = {"WWW-Authenticate": f'Basic realm="{REALM}", charset="UTF-8"'}
            return _said(401, "The token is missing or wrong.", **challenge)
        wanted = request.path_params["id"]
        if not _ID.fullmatch(wanted):
            return _said(404, "There is no such report.")
        if self._under_way >= AT_WORK + WAITING:
            return _said(503, "Too many reports are asked for at once.", **{"Retry-After": "5"})
        self._under_way += 1
        try:
            return await self._made(make, wanted)
        finally:
            self._under_way -= 1

    async def _made(self, make: Callable[[str], str], wanted: str) -> Response:
        loop = asyncio.get_running_loop()
        try:
            page = await loop.run_in_executor(self._threads, make, wanted)
        except EntryMissing as error:
            return _said(404, _sentence(error))
        except Damaged as error:
            _log.warning("a report could not be made: %s", error)
            return _said(500, _sentence(error))
        except EdgecapError as error:
            _log.warning("a report could not be made: %s", error)
            return _said(503, f"The archive cannot be read: {error.what}.", **{"Retry-After": "5"})
        except Exception as error:  # noqa: BLE001 - an unforeseen error is a page with our headers, too
            _log.error("a report could not be made: %s", type(error).__name__)
            return _said(500, "The report could not be made.")
        return _page(200, page)

    def _capture(self, wanted: str) -> str:
        store = self._archive()
        entry = find_entry(store, wanted)
        summary, remark = find_summary(store, entry)
        return entry_html(entry, summary, links=HERE, remark=remark)

    def _incident(self, wanted: str) -> str:
        store = self._archive()
        overviews = Overviews(store, self._inbox)
        found = overviews.find(wanted)
        parts = list(pictured(store, overviews, found))
        return incident_html(found, parts, links=HERE, proposals=proposed(store, found.id))

    def _archive(self) -> Store:
        if self._store is None:
            self._store = self._open()
        return self._store


def _sentence(error: EdgecapError) -> str:
    """What is wrong, without where: a path or bucket is not for the page's reader to know."""
    return f"{error.what[:1].upper()}{error.what[1:]}" + (f"; {error.hint}" if error.hint else "") + "."


def _said(status: int, words: str, **headers: str) -> Response:
    return _page(status, message_html(words), **headers)


def _page(status: int, page: str, **headers: str) -> Response:
    return Response(page, status, {**_HEADERS, **headers}, "text/html; charset=utf-8")
