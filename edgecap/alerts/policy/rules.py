"""The policy file: which alerts lead to which captures. TOML, read strictly; the first match counts."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from edgecap.alerts.model import Alert, Severity
from edgecap.errors import ConfigError, InvalidRequest
from edgecap.filters.check import check_request
from edgecap.requests import AUTO, Bounds, Filter, FullRequest
from edgecap.settings.alerts import PRODUCTS

LONGEST = 3600  # seconds of `before` and `after`: twelve captures, of which an account may take one a minute

DEFAULT_POLICY_TOML = """\
# What edgecap does about alerts if no rule of your own policy file matches. Copy what you want to change
# into your file: its rules come first, and the first rule that matches an alert counts. To switch these
# rules off, end your file with a rule that has only a name and `capture = false`.
#
# A rule matches by `source`, `kind` (the alert's type; * and ? stand for anything) and `severity`
# (critical, high, medium, low, info, unknown). A key that is left out matches everything. Times are seconds.

[[rules]]
name = "built-in: cloudflare attacks"
source = "cloudflare"
kind = ["advanced_ddos_attack_l4_alert", "dos_attack_l4", "fbm_dosd_attack", "fbm_volumetric_attack"]
before = 240        # simple captures reach back this far before the attack's start; they end at the alert
after = 60          # simple captures cover this long after the attack's end
cooldown = 600      # for this long after its last alert, alerts for the same target join an incident
daily_budget = 100  # captures that this rule may take in a day (UTC)
# reserve = 20        # of these, how many are kept for critical and high alerts
# target_budget = 50  # captures in a day for one target; those for critical and high alerts count apart
preempt = false     # true: a scheduled full capture is stopped in favour of this alert's
filter = {}         # for alerts without a target; {} is everything; without this line: no captures
local_targets = false   # true: a private address in a label such as instance, or in a title, is a target
expression = ""     # narrows every capture, as for tcpdump: "less 100 and udp"; see `edgecap explain`

[rules.during]      # full captures, at each data centre that the alert names
seconds = 60        # 0: none
colos = "auto"      # if the alert names none: where most of the attack arrives, at up to 3 data centres
                    # ["auto", "ORD"]: at ORD if that cannot be told; ["ORD", "ams01"]: always; []: none
bucket = "default"  # a bucket's name in the settings
# packet_limit = 10000
# byte_limit = 1000000000

# An attack on HTTP ends at Cloudflare's proxy. Packet captures see what goes on to your network.
[[rules]]
name = "built-in: cloudflare attacks on HTTP"
source = "cloudflare"
kind = ["advanced_ddos_attack_l7_alert", "dos_attack_l7"]
capture = false
reason = "an attack on HTTP ends at Cloudflare's proxy, where packet captures see nothing"

# Cloudflare began to announce prefixes because of an attack: their packets arrive at the edge from now on.
[[rules]]
name = "built-in: cloudflare announces prefixes"
source = "cloudflare"
kind = "fbm_auto_advertisement"
before = 0          # there was nothing at the edge before
after = 0

# Cloudflare also sends notifications about tunnels, certificates, bills and maintenance. They are no attacks.
[[rules]]
name = "built-in: other cloudflare notifications"
source = "cloudflare"
capture = false
reason = "the notification is not about an attack"

# Any other alert that is routed to edgecap leads to captures if it names a target.
[[rules]]
name = "built-in: default"
before = 240
after = 60
cooldown = 600
daily_budget = 100
"""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Globs = Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)]


class During(BaseModel):
    """Full captures during the attack: one at each data centre."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seconds: int = Field(60, ge=0, description="How long; 0 takes none")
    colos: Annotated[list[str], BeforeValidator(_listed)] = Field(
        [AUTO],
        description="Data centres, besides those that the alert names. With auto, where most of the attack "
        "arrives if the alert names none, and the others if that cannot be told",
    )
    bucket: str = Field("default", min_length=1, description="Name of a bucket in the settings")
    packet_limit: int | None = Field(None, description="Packets at most")
    byte_limit: int | None = Field(None, description="Bytes at most")

    @property
    def chooses_places(self) -> bool:
        """Whether edgecap chooses the data centres for an alert that names none."""
        return len(self.named) < len(self.colos)

    @property
    def named(self) -> list[str]:
        """The data centres that it names."""
        return [colo for colo in self.colos if colo.strip().lower() != AUTO]


class Rule(BaseModel):
    """Which alerts, and what is captured for them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(min_length=1, description="Shown with each incident that it opens")
    source: Globs = Field(["*"], description="Names of sources")
    kind: Globs = Field(["*"], description="Types of alerts in the source's words; globs, in any case")
    severity: Annotated[list[Severity], BeforeValidator(_listed)] = Field([], description="Empty: all")
    capture: bool = Field(default=True, description="false: nothing is captured")
    reason: str = Field("", description="Why nothing is captured, for people; only with capture = false")
    before: int = Field(
        240, ge=0, le=LONGEST, description="Seconds to reach back before the start; 0 takes none"
    )
    during: During = Field(During(), description="Full captures")
    after: int = Field(60, ge=0, le=LONGEST, description="Seconds after the end; 0 takes none")
    cooldown: int = Field(600, ge=0, description="Seconds for which alerts for one target are one incident")
    daily_budget: int = Field(100, ge=0, description="Captures in a day (UTC)")
    reserve: int | None = Field(
        None,
        ge=0,
        description="Captures of the budget that are kept for critical and high alerts; a fifth if not given",
    )
    target_budget: int | None = Field(
        None, ge=0, description="Captures in a day for one target; half of the budget if not given"
    )
    filter: Filter | None = Field(None, description="For alerts without a target")
    local_targets: bool = Field(
        default=False,
        description="true: a private, loopback, link-local, multicast or broadcast address of a label such "
        "as instance, or of a title, counts as target",
    )
    expression: str = Field("", description="Narrows what is captured, as for tcpdump; addresses, no names")
    preempt: bool = Field(default=False, description="Stop a scheduled full capture in favour of this one")

    def matches(self, alert: Alert) -> bool:
        """Whether the rule is about such an alert."""
        return (
            ("*" in self.source or alert.source in self.source)
            and any(fnmatchcase(alert.kind.lower(), glob.lower()) for glob in self.kind)
            and (not self.severity or alert.severity in self.severity)
        )

    @property
    def kept_for_grave(self) -> int:
        """Captures of the daily budget that only critical and high alerts may use."""
        return self.daily_budget // 5 if self.reserve is None else self.reserve

    @property
    def captures_of_a_target(self) -> int:
        """Captures in a day for one target: of severe alerts, and as many of others."""
        return -(-self.daily_budget // 2) if self.target_budget is None else self.target_budget

    @property
    def matches_all(self) -> bool:
        """Whether it matches every alert, so that no later rule is reached."""
        return "*" in self.source and "*" in self.kind and not self.severity


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that matches an alert, and where it is from."""

    rule: Rule
    built_in: bool


class Policy(BaseModel):
    """The rules of a policy file; the built-in ones follow them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    rules: list[Rule] = []

    @model_validator(mode="after")
    def _each_can_match(self) -> Self:
        seen: set[str] = set()
        catch_all = ""
        for rule in self.rules:
            if rule.name in seen:
                raise ValueError(f"two rules are called {rule.name!r}")
            if catch_all:
                raise ValueError(f"rule {rule.name!r} is never reached: {catch_all!r} before it matches all")
            seen.add(rule.name)
            catch_all = rule.name if rule.matches_all else ""
        return self

    def buckets(self) -> set[str]:
        """Names of the buckets that full captures of these and the built-in rules need."""
        return {
            rule.during.bucket for rule in (*self.rules, *BUILT_IN) if rule.capture and rule.during.seconds
        }

    def match(self, alert: Alert) -> Match:
        """The first rule that matches: the file's, else a built-in one, of which the last matches all."""
        for rule in self.rules:
            if rule.matches(alert):
                return Match(rule, built_in=False)
        return Match(next(rule for rule in BUILT_IN if rule.matches(alert)), built_in=True)


def load_policy(
    path: Path | None, bounds: Bounds | None = None, sources: Collection[str] = PRODUCTS
) -> Policy:
    """The policy in a file; without a file, the built-in rules alone.

    Args:
        path: the file.
        bounds: the API's limits.
        sources: the names that a rule may use as `source`.

    Raises:
        ConfigError: it cannot be read, or is wrong; says in which rule and how.
    """
    if path is None:
        return Policy()
    try:
        written = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the policy cannot be read: {error}", where=str(path), hint="name a file that can be read"
        ) from None
    return read_policy(written, where=str(path), bounds=bounds, sources=sources)


def read_policy(
    written: str,
    *,
    where: str = "the policy",
    bounds: Bounds | None = None,
    sources: Collection[str] = PRODUCTS,
) -> Policy:
    """The policy in a TOML text.

    Args:
        written: the text.
        where: its file, for errors.
        bounds: the API's limits; filters, data centres and times are checked when the policy is loaded.
        sources: the names that a rule may use as `source`.

    Raises:
        ConfigError: it is wrong; says in which rule and how.
    """
    try:
        data = tomllib.loads(written)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the policy is not TOML: {error}", where=where, hint="correct the file") from None
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = _field(data, first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"{field}: {message}" if field else message, where=where, hint="correct the policy"
        ) from None
    for rule in policy.rules:
        if unknown := [each for each in rule.source if each not in ("*", *sources)]:
            raise ConfigError(
                f"rule {rule.name!r}: unknown source {unknown[0]!r}; known are {', '.join(sources)} and *",
                where=where,
                hint="correct the policy, or add a source of your own to the settings (alerts.custom)",
            )
        _check(rule, bounds or Bounds(), where)
    return policy


def _field(data: dict[str, Any], path: tuple[int | str, ...]) -> str:
    """`rules.2.during.seconds` with the rule's name, which is what a person looks for."""
    words = [str(part) for part in path]
    match path:
        case ("rules", int(number), *rest) if isinstance(data["rules"][number], dict):
            name = data["rules"][number].get("name", number + 1)
            return ".".join([f"rule {name!r}", *map(str, rest)])
        case _:
            return ".".join(words)


def _check(rule: Rule, bounds: Bounds, where: str) -> None:
    during = rule.during
    try:
        for colo in during.colos or ["ORD"]:
            request = FullRequest(
                colo=colo,
                bucket=during.bucket,
                time_limit=during.seconds or 1,
                packet_limit=during.packet_limit,
                byte_limit=during.byte_limit,
                filter=rule.filter or Filter(),
                expression=rule.expression,
            )
            check_request(request, bounds, now=datetime.now(UTC))
    except InvalidRequest as error:
        raise ConfigError(
            f"rule {rule.name!r}: {error.what}", where=f"{where}, {error.field}", hint=error.hint
        ) from None


BUILT_IN: tuple[Rule, ...] = tuple(read_policy(DEFAULT_POLICY_TOML, where="the built-in policy").rules)
