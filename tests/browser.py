"""Debian's Chromium, run as a user runs it: its console errors and its requests can be read."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
# It may run as root in a container, and must not call home.
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Visit:
    """A page as the browser shows it, with its console errors and its requests."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser to its end."""
    with sync_playwright() as programs:
        browser = programs.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(
    browser: Browser, address: str, *, width: int = 1280, prefect_auth: str = "", **options: object
) -> Iterator[Visit]:
    """Go to an address in a fresh profile, signed in to Prefect's pages if their secret is given."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    if prefect_auth:
        kept = b64encode(prefect_auth.encode()).decode()
        context.add_init_script(f"localStorage.setItem('prefect-password', '{kept}')")
    page = context.new_page()
    found = Visit(page)
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.requests.append(request.url))
    page.goto(address)
    try:
        yield found
    finally:
        context.close()
