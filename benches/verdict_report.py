"""The report of `make bench-verdict`: tables in Markdown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benches.verdict import Outcome

_TEXT = Path(__file__).with_name("verdict_text.md")
ENOUGH = 1_000  # packets of the attack in the capture
_OTHER_COLUMNS = 4
_EACH = """Of captures with 1,000 packets of the attack or more. Precision: of all vectors of this kind that
were told, those in captures that have it."""
_GRID = """Found, and called likely, by packets of the attack that are in the capture, beside some 1,000 of
service."""
_CONFUSED = """What was told of captures with 1,000 packets of the attack or more; `-` is nothing at all. A
capture can have several vectors."""


def report(outcomes: Sequence[Outcome], *, half: str, of: int, seconds: float) -> str:
    """The document."""
    attacks = [each for each in outcomes if each.spec.attack]
    ordinary = [each for each in outcomes if not each.spec.attack]
    parts = [
        _TEXT.read_text().rstrip(),
        "## In short",
        *_short(attacks, ordinary, half),
        "## Each kind",
        _EACH,
        _table(("kind", "captures", "found", "likely", "precision"), _kinds(attacks, ordinary)),
        "## By strength and sampling",
        _GRID,
        _table(
            *_grid(
                attacks,
                lambda each: f"{each.spec.strength:,} packets",
                lambda each: f"1/{each.spec.sampling:,}",
            )
        ),
        "By what the capture holds, for 1,000 packets and more:",
        _table(
            *_grid(
                [each for each in attacks if each.attack >= ENOUGH],
                _setting,
                lambda each: "with baseline" if each.spec.baseline else "without",
            )
        ),
        "## Confusion",
        _CONFUSED,
        _table(("attack", "right", "told as well, or instead"), _confusion(attacks)),
        "## Ordinary service",
        _table(("service", "captures", "likely", "possible", "what was told"), _ordinary(ordinary)),
        f"Judged were {len(outcomes):,} of the {of:,} captures of this half, in {seconds / 60:.0f} minutes.",
    ]
    return "\n\n".join(parts) + "\n"


def _short(attacks: Sequence[Outcome], ordinary: Sequence[Outcome], half: str) -> Iterator[str]:
    enough = [each for each in attacks if each.attack >= ENOUGH]
    covered = [held for each in (*attacks, *ordinary) for held in each.covered]
    rows = [
        ("captures with an attack", f"{len(attacks):,}", ""),
        (
            "found, of those with 1,000 attack packets and more",
            _part([each.right != "nothing" for each in enough]),
            "95 %",
        ),
        (
            "of those with a baseline",
            _part([each.right != "nothing" for each in enough if each.spec.baseline]),
            "",
        ),
        (
            "of those without",
            _part([each.right != "nothing" for each in enough if not each.spec.baseline]),
            "",
        ),
        ("called likely, of those", _part([each.right == "likely" for each in enough]), ""),
        ("ordinary captures", f"{len(ordinary):,}", "2,000"),
        ("called likely", f"{sum(each.strength == 'likely' for each in ordinary)}", "0"),
        ("called possible", _part([each.strength == "possible" for each in ordinary]), "under 1 %"),
        ("rates within their 95 % interval", _part(covered), "95 +- 1.5 %"),
    ]
    yield f"The half of the corpus that is {half}."
    yield _table(("", "result", "aim"), rows)


def _part(held: Sequence[bool]) -> str:
    return f"{sum(held) / max(len(held), 1):.1%} of {len(held):,}"


def _kinds(attacks: Sequence[Outcome], ordinary: Sequence[Outcome]) -> Iterator[tuple[str, ...]]:
    told: Counter[tuple[str, str]] = Counter()
    right: Counter[tuple[str, str]] = Counter()
    for each in (*attacks, *ordinary):
        expected = _expected(each)
        for name in {(kind, service) for kind, service, _ in each.vectors}:
            told[name] += 1
            right[name] += name == expected
    by_name: dict[str, list[Outcome]] = defaultdict(list)
    for each in attacks:
        if each.attack >= ENOUGH:
            by_name[each.spec.attack].append(each)
    for name, found in by_name.items():
        vector = _expected(found[0])
        yield (
            name,
            f"{len(found)}",
            f"{sum(each.right != 'nothing' for each in found) / len(found):.0%}",
            f"{sum(each.right == 'likely' for each in found) / len(found):.0%}",
            f"{right[vector] / max(told[vector], 1):.1%}" if vector else "-",
        )


def _expected(each: Outcome) -> tuple[str, str] | None:
    from edgecap.simulator.corpus.attacks import ATTACKS  # noqa: PLC0415 - a circle otherwise

    kind = ATTACKS.get(each.spec.attack)
    return (kind.vector, kind.service) if kind else None


def _grid(
    outcomes: Sequence[Outcome], row: Callable[[Outcome], str], column: Callable[[Outcome], str]
) -> tuple[tuple[str, ...], Iterable[tuple[str, ...]]]:
    cells: dict[tuple[str, str], list[str]] = defaultdict(list)
    rows, columns = list[str](), list[str]()
    for each in sorted(outcomes, key=lambda one: (one.spec.strength, one.spec.sampling)):
        cells[row(each), column(each)].append(each.right)
        rows += [row(each)] if row(each) not in rows else []
        columns += [column(each)] if column(each) not in columns else []

    def cell(found: Sequence[str]) -> str:
        if not found:
            return "-"
        return f"{1 - found.count('nothing') / len(found):.0%}, {found.count('likely') / len(found):.0%}"

    return ("", *columns), [(name, *(cell(cells[name, each]) for each in columns)) for name in rows]


def _setting(each: Outcome) -> str:
    filtered = "filtered" if each.spec.filter else "not filtered"
    sampled = "sampled" if each.spec.sampling > 1 else "all packets"
    return f"{sampled}, {filtered}, {'both directions' if each.spec.both_ways else 'one direction'}"


def _confusion(attacks: Sequence[Outcome]) -> Iterator[tuple[str, ...]]:
    by_name: dict[str, list[Outcome]] = defaultdict(list)
    for each in attacks:
        if each.attack >= ENOUGH:
            by_name[each.spec.attack].append(each)
    for name, found in by_name.items():
        expected = _expected(found[0])
        others: Counter[str] = Counter()
        for each in found:
            names = {(kind, service) for kind, service, _ in each.vectors}
            others.update(" ".join(part for part in other if part) for other in names if other != expected)
            others["-"] += not names
        told = ", ".join(f"{other} {count}" for other, count in others.most_common(_OTHER_COLUMNS) if count)
        yield name, f"{sum(each.right != 'nothing' for each in found)} of {len(found)}", told


def _ordinary(ordinary: Sequence[Outcome]) -> Iterator[tuple[str, ...]]:
    by_name: dict[str, list[Outcome]] = defaultdict(list)
    for each in ordinary:
        for service in each.spec.services:
            by_name[service].append(each)
    for name, found in sorted(by_name.items()):
        told = Counter(kind for each in found for kind, _, _ in each.vectors)
        counts = Counter(each.strength for each in found)
        words = ", ".join(f"{kind} {count}" for kind, count in told.most_common(3))
        yield name, f"{len(found)}", f"{counts['likely']}", f"{counts['possible']}", words


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(("", *head, "")).strip(), "|" + "---|" * len(head)]
    lines += [" | ".join(("", *row, "")).strip() for row in rows]
    return "\n".join(lines)
