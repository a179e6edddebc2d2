"""The document of proposals: what `edgecap propose --json` prints, and an incident keeps."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

FORMAT = "edgecap-proposals/1"

Share = Annotated[float, Field(ge=0, le=1)]
Grade = Literal["proven", "unproven", "none"]


class _Record(BaseModel):
    # Fields of newer versions are kept, and do not stop this version from reading.
    model_config = ConfigDict(extra="allow", frozen=True)


class UsedCapture(_Record):
    """A capture, or a part of one, whose packets were looked at."""

    name: str = Field(description="For people, such as `before 1 (1f0c22ab)`, or a file's name")
    id: str = Field("", description="The capture's id in the archive; empty for a file")
    sampled: bool = Field(description="Its packets are samples")
    packets: int
    first: AwareDatetime | None = None
    last: AwareDatetime | None = None


class Counted(_Record):
    """How many packets of some captures match."""

    matched: int
    packets: int
    share: Share
    low: Share = Field(description="Lower end of the 95 % interval (exact binomial)")
    high: Share = Field(description="Upper end")


class Proof(_Record):
    """What a filter did to all packets of the captures."""

    attack: Counted = Field(description="Of the vector's packets")
    attack_share: Share = Field(
        description="The same without the usual packets that are expected among the vector's"
    )
    baseline: Counted | None = Field(None, description="Of the baseline's packets to the same target")
    rest: Counted | None = Field(
        None, description="Of the packets to the same target in the attack's captures that are of no vector"
    )


class WrittenForm(_Record):
    """A filter in one language."""

    name: str = Field(description="cloudflare, tcpdump, nftables or flowspec")
    title: str
    text: str = Field("", description="Empty if the language cannot express the filter")
    cannot: str = Field("", description="Why not")


class Proposal(_Record):
    """What is proposed against one vector."""

    vector: str = Field(description="What the vector is, in a line")
    packets: int = Field(description="Of the vector, in the attack's captures")
    share: Share = Field(description="Of all packets of the attack's captures")
    grade: Grade = Field(
        description="proven: it matches enough of the attack and hardly any baseline packet. unproven: "
        "nothing proves that it is harmless. none: no filter is good enough"
    )
    filter: str = Field("", description="The filter in words; the best one found if the grade is none")
    why: str = Field(description="The reason for the grade, in a sentence")
    proof: Proof | None = None
    forms: tuple[WrittenForm, ...] = Field((), description="Empty if the grade is none")
    remarks: tuple[str, ...] = Field((), description="What to know before using it")


class Proposals(_Record):
    """Filters against the attack in some captures."""

    format: str = Field(FORMAT, pattern=r"^edgecap-proposals/\d+$")
    made: AwareDatetime
    attack: tuple[UsedCapture, ...]
    baseline: tuple[UsedCapture, ...] = ()
    assumption: str = Field(description="How the attack's packets were told apart from usual ones")
    proposals: tuple[Proposal, ...] = Field((), description="The largest vector first")
    reason: str = Field("", description="Why there is no proposal; empty if there is one")
    remarks: tuple[str, ...] = ()

    @property
    def best_grade(self) -> Grade:
        """The best grade of any proposal."""
        grades = {each.grade for each in self.proposals}
        return "proven" if "proven" in grades else "unproven" if "unproven" in grades else "none"


def proposals_schema() -> str:
    """The JSON schema, for `docs/proposals.schema.json`."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Proposals.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"
