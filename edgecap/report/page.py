"""What all pages have in common: one file that asks nobody for anything; its sections, tables and facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgecap.report.markup import Child, Html, join, tag
from edgecap.report.theme import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""The content security policy of every page: whatever got into one, it loads and runs nothing."""

_NUMBER, _ADDRESS, _ENDPOINT, _METER, _LEAST, _TIGHT, _FILE = ">", "@", ":", "=", "-", "!", "/"
_CLASSES = {
    _NUMBER: "number",
    _ADDRESS: "address",
    _ENDPOINT: "endpoint",
    _METER: "meter",
    _LEAST: "least",
    _TIGHT: "tight",
    _FILE: "file",
}


def page(title: str, parts: Iterable[Child]) -> str:
    """A whole page.

    Args:
        title: what the browser's tab says.
        parts: what is in it.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", STYLE),
    )
    body = tag("body", tag("main", parts))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def message_html(words: str) -> str:
    """A whole page that says one thing, such as that there is no report."""
    return page("edgecap", [tag("p", "edgecap", class_="kind"), tag("h1", words)])


def section(title: str, *parts: Child, name: str = "") -> Html:
    """A part of a page with a heading; `name` is what the list of sections links to."""
    return tag("section", tag("h2", title), parts, id=name or None)


def contents(sections: Sequence[tuple[str, str]]) -> Html:
    """The list of sections: name and title of each."""
    return tag("nav", [[tag("a", title, href=f"#{name}"), " "] for name, title in sections])


def facts(rows: Iterable[tuple[str, Child]], *, wide: Iterable[str] = ()) -> Html:
    """Names and values side by side; those named in `wide` need more room."""
    broad = set(wide)
    return tag(
        "dl",
        [
            tag("div", tag("dt", name), tag("dd", value), class_="wide" if name in broad else None)
            for name, value in rows
        ],
        class_="facts",
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[Child]]) -> Html:
    """A table. What a column's name begins with says how it is set.

    `>` numbers, to the right; `@` addresses, `:` with ports; `=` a meter; `-` not on phones; `!` never broken
    over lines; `/` names of files with their hashes.
    """
    classes = [_CLASSES.get(column[:1]) for column in columns]
    names = [column[1:] if class_ else column for column, class_ in zip(columns, classes, strict=True)]
    head = tag("tr", [tag("th", name, class_=class_) for name, class_ in zip(names, classes, strict=True)])
    body = [
        tag("tr", [tag("td", cell, class_=class_) for cell, class_ in zip(row, classes, strict=True)])
        for row in rows
    ]
    return tag("div", tag("table", tag("thead", head), tag("tbody", body)), class_="scroll")


def pairs(rows: Iterable[tuple[str, str]]) -> Html:
    """Names and values below each other."""
    body = [
        tag("tr", tag("th", name, scope="row"), tag("td", tag("span", value, class_="mono")))
        for name, value in rows
    ]
    return tag("table", tag("tbody", body), class_="pairs")


def block(title: str, *parts: Child) -> Html:
    """A smaller part with a heading of its own, within a section."""
    return tag("div", tag("h3", title), parts)


def two(*blocks: Child) -> Html:
    """Blocks side by side where there is room."""
    return tag("div", blocks, class_="two")


def code(words: str) -> Html:
    """Something to be typed or compared letter by letter."""
    return tag("code", words)


def note(*words: Child) -> Html:
    """Something beside the matter."""
    return tag("p", words, class_="note")


def bullets(lines: Iterable[Child]) -> Html:
    """A list."""
    return tag("ul", [tag("li", line) for line in lines], class_="plain")


def figure(broad: Html, narrow: Html | None = None, caption: Child = None) -> Html:
    """A picture, with a second one for phones if there is one, and what it shows."""
    both = [tag("div", broad, class_="broad"), tag("div", narrow, class_="narrow")] if narrow else [broad]
    return tag("figure", both, tag("figcaption", caption) if caption else None)


def footer(*words: Child) -> Html:
    """The end of a page."""
    return tag("footer", join(words))
