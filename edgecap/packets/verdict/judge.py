"""From evidence to a verdict: a pure function. Rules suggest vectors, their signs decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Literal

from edgecap.packets.verdict.baseline import compare, usable
from edgecap.packets.verdict.case import ENOUGH, Case, Draft, judged_targets
from edgecap.packets.verdict.conditions import Conditions
from edgecap.packets.verdict.evidence import Evidence
from edgecap.packets.verdict.model import LIKELY, POSSIBLE, Baseline, Sign, Strength, Vector, Verdict
from edgecap.packets.verdict.other_rules import other_rules, tunnel_rules
from edgecap.packets.verdict.scan_rules import scan_rules
from edgecap.packets.verdict.tcp_rules import tcp_rules
from edgecap.packets.verdict.udp_rules import udp_rules
from edgecap.packets.verdict.words import caveats, headline

_PART = 0.05  # of all packets: less is not what a capture is about
_PART_OF_SCAN = 0.01
_MOST = 12  # vectors that are told
_SLOW = "low-and-slow"
_OF_CONNECTIONS = frozenset({"syn-flood", "tcp-ack-flood", "tcp-data-flood"})
_WITHIN = 0.5  # of a prefix's vector: an address with more is its own


def judge(
    evidence: Evidence,
    conditions: Conditions | None = None,
    *,
    baseline: Baseline | None = None,
    usual: Sequence[Evidence] = (),
    mix: str = "",
) -> Verdict:
    """The verdict.

    Args:
        evidence: of the capture.
        conditions: how its packets came; by default unsampled and unfiltered.
        baseline: what the captures of `usual` are.
        usual: the evidence of captures that tell what is usual.
        mix: the capture's protocols in words, for a verdict of nothing.
    """
    conditions = conditions or Conditions()
    known = tuple(each for each in usual if usable(each))
    case = Case(evidence, conditions, known)
    baseline = baseline if known else None
    vectors = tuple(_vectors(case)) if evidence.packets >= ENOUGH else ()
    strength: Strength = vectors[0].strength if vectors else "nothing"
    return Verdict(
        strength=strength,
        line=headline(evidence, conditions, vectors, baseline, mix),
        vectors=vectors,
        caveats=tuple(caveats(evidence, conditions, baseline)),
        conditions=conditions,
        baseline=baseline,
    )


def _vectors(case: Case) -> list[Vector]:
    scans = [each for each in map(_weighed, scan_rules(case)) if each[0] >= POSSIBLE]
    drafts = [*scans]
    for target in judged_targets(case):
        scanned = sum(
            draft.packets
            for _, draft in scans
            if not draft.match.destination or draft.match.destination == target.address
        )
        for rules in (tcp_rules, udp_rules, other_rules):
            drafts += (_compared(case, draft) for draft in rules(case, target, scanned))
    drafts += map(_weighed, tunnel_rules(case))
    found = [(score, draft) for score, draft in drafts if score >= POSSIBLE and _matters(case, draft)]
    vectors = [_vector(case, score, draft) for score, draft in _told_once(list(_without_parts(found)))]
    vectors.sort(key=lambda each: (each.strength != "likely", -each.packets))
    return vectors[:_MOST]


def _weighed(draft: Draft) -> tuple[int, Draft]:
    return sum(each.weight for each in draft.signs), draft


def _compared(case: Case, draft: Draft) -> tuple[int, Draft]:
    _, signs = compare(case, draft)
    return _weighed(replace(draft, signs=(*draft.signs, *signs)))


def _matters(case: Case, draft: Draft) -> bool:
    whole = max(case.evidence.packets, 1)
    if draft.forgiving:
        return draft.packets >= _PART_OF_SCAN * whole
    return draft.packets >= _PART * whole or draft.bytes >= _PART * max(case.evidence.bytes, 1)


def _without_parts(found: Sequence[tuple[int, Draft]]) -> Iterator[tuple[int, Draft]]:
    """Without vectors to an address that are a small part of one to its prefix."""
    wide = [draft for _, draft in found if draft.target and draft.target.is_prefix]
    for score, draft in found:
        if draft.target is None or draft.target.is_prefix or not draft.target.address:
            yield score, draft
            continue
        address = ip_address(draft.target.address)
        if not any(
            each.kind == draft.kind
            and each.service == draft.service
            and draft.packets < _WITHIN * each.packets
            and address in ip_network(each.target.address)
            for each in wide
            if each.target
        ):
            yield score, draft


def _told_once(found: Sequence[tuple[int, Draft]]) -> Iterator[tuple[int, Draft]]:
    """Without floods of TCP that are the packets of low and slow connections, mostly of one source."""
    slow = {draft.target.address for _, draft in found if draft.kind == _SLOW and draft.target}
    for score, draft in found:
        target = draft.target.address if draft.target else ""
        of_one = sum(each.largest_source for each in draft.streams)
        if target not in slow or draft.kind not in _OF_CONNECTIONS or of_one < _WITHIN * draft.packets:
            yield score, draft


def _vector(case: Case, score: int, draft: Draft) -> Vector:
    strength: Literal["likely", "possible"] = "likely" if score >= LIKELY else "possible"
    rate = case.rate(draft.packets)
    mean = draft.bytes / max(draft.packets, 1)
    usual, _ = compare(case, draft)
    title = draft.title
    if draft.target and draft.target.is_prefix:
        title = f"{title}, carpet bombing"
    return Vector(
        kind=draft.kind,
        title=title,
        strength=strength,
        score=score,
        service=draft.service,
        target=draft.target.address if draft.target else draft.match.destination,
        source=draft.source,
        packets=draft.packets,
        bytes=draft.bytes,
        share=case.share(draft.packets),
        rate=rate,
        bits=rate.times(mean * 8) if rate else None,
        sources=draft.sources,
        usual=usual,
        signs=draft.signs,
        evidence=(draft.first, *_lines(draft.signs), *draft.where),
        match=draft.match,
    )


def _lines(signs: Sequence[Sign]) -> Iterator[str]:
    for each in signs:
        yield each.line if each.weight > 0 else f"but {each.line}"
