"""Markup from parts: every text is escaped unless it was made here.

The result is valid XML, so a chart can be a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_VOID = frozenset({"meta", "br"})
_SHAPES = frozenset({"rect", "path", "line", "circle"})


class Html(str):
    """Markup. Everything else is escaped where it meets markup."""

    __slots__ = ()

    def __html__(self) -> str:
        """Itself: what a template shows unescaped."""
        return self


Child: TypeAlias = "str | Iterable[Child] | None"


def visible(text: str) -> str:
    """`text` with a mark for each invisible character: controls, half characters, changes of direction.

    File names come from elsewhere, and one that is written from right to left can look like another.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else " " if letter in "\n\t" else _UNKNOWN for letter in text
    )


def escape(text: str) -> Html:
    """`text` as markup that shows it, in an element or in an attribute's quotes."""
    return text if isinstance(text, Html) else Html(visible(text).translate(_ENTITIES))


def join(children: Child) -> Html:
    """All of them, one after the other; None is nothing."""
    if children is None:
        return Html("")
    if isinstance(children, str):
        return escape(children)
    return Html("".join(map(join, children)))


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """An element. `class_` is `class`, `_` is `-`; an attribute that is None is left out.

    >>> tag("td", "<b>", class_="number")
    '<td class="number">&lt;b&gt;</td>'
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID or (name in _SHAPES and not children):
        return Html(f"<{name}{said}/>")
    return Html(f"<{name}{said}>{join(children)}</{name}>")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return value
    # A tenth of a pixel is finer than any screen, and digits are most of a picture's bytes.
    return f"{value:.1f}".removesuffix(".0")
