"""The records of the journal: one for each thing that can happen to a request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from edgecap.archive.text import Json
from edgecap.requests import CaptureRequest

FORMAT = "edgecap-intent/1"


class Intent(BaseModel):
    """A request that edgecap has decided to make. It leads to at most one accepted capture."""

    model_config = ConfigDict(extra="allow", frozen=True)

    format: str = FORMAT
    intent_id: str = Field(min_length=1)
    request: CaptureRequest
    account: str  # a name of the settings
    archive: str  # a name of the settings
    body: Json  # what is posted, except the destination, which may hold a secret
    residual: str = ""  # the part of the request's expression that is applied to the fetched packets
    decided: AwareDatetime
    run: str = ""  # id and name of the flow run
    scheduled: AwareDatetime | None = None
    series: str = ""  # the deployment whose schedule started it; its captures are compared with each other
    alert: Json | None = None
    incident: str | None = None
    choice: Json | None = Field(
        None, description="How the place was chosen, and from what; null if the request named it"
    )
    repeats: str = Field(
        "",
        description="The intent that this one replaces: it asks for the same window again, because the "
        "other's outcome is unknown; or for the same at another place, before the other was accepted",
    )

    @field_validator("body")
    @classmethod
    def _without_destination(cls, body: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in body.items() if name != "destination_conf"}


class Posting(BaseModel):
    """A POST that was about to be made. The record does not say whether it was made."""

    model_config = ConfigDict(extra="allow", frozen=True)

    number: int = Field(ge=1, description="The intent's first POST is 1")
    at: AwareDatetime = Field(description="The server's time of the list that was looked at just before")
    destination: str = Field("", description="Bucket of a full capture, without keys")
    listed: tuple[str, ...] = Field(
        (), description="Captures of its type that the list showed then: none of them is the intent's"
    )


class Answer(BaseModel):
    """The answer to a POST, if it named no capture."""

    model_config = ConfigDict(extra="allow", frozen=True)

    number: int = Field(ge=1, description="Of the posting")
    at: AwareDatetime = Field(description="When it came, on the server's clock")
    refused: bool = Field(description="It proves that nothing was accepted; else only the list can tell")
    what: str = ""


class Absence(BaseModel):
    """The proof, from the API's list, that a POST started nothing.

    The list shows only the newest captures, so a later list may not be able to prove it again.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    number: int = Field(ge=1, description="Of the posting")
    at: AwareDatetime = Field(description="The server's time of the list that proves it")


class Accepted(BaseModel):
    """The capture that the API accepted for an intent, as it answered, without secrets."""

    model_config = ConfigDict(extra="allow", frozen=True)

    capture_id: str = Field(min_length=1)
    capture: Json


class Ended(BaseModel):
    """How an intent ended: with its packets in the archive, or without any, and why."""

    model_config = ConfigDict(extra="allow", frozen=True)

    outcome: Literal["archived", "failed", "cancelled", "never-accepted", "repeated"]
    reason: str = Field(description="One line for people")
    error: str = Field("", description="Name of the class of the EdgecapError that ended it, if one did")
    entry: str = Field("", description="Prefix of the entry, if there is one")
    repeated_by: str = Field("", description="The intent that replaces it")
    at: AwareDatetime


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """All that the journal knows of an intent.

    `accepted` is None until the API's answer is known, `ended` until the intent is over. After that,
    `postings`, `answers` and `absences` are left out: nothing depends on them any more.
    """

    intent: Intent
    accepted: Accepted | None = None
    ended: Ended | None = None
    postings: tuple[Posting, ...] = ()
    answers: tuple[Answer, ...] = ()
    absences: tuple[Absence, ...] = ()

    @property
    def capture_id(self) -> str:
        """The accepted capture's id; empty if none is known."""
        return self.accepted.capture_id if self.accepted else ""

    def refusals(self, *, apart: timedelta) -> tuple[Answer, ...]:
        """The latest refusals in a row, in their order.

        Args:
            apart: a longer time between two refusals ends the row.
        """
        found: list[Answer] = []
        for answer in sorted(self.answers, key=lambda answer: -answer.number):
            if not answer.refused or (found and found[-1].at - answer.at > apart):
                break
            found.append(answer)
        return tuple(reversed(found))

    @property
    def unsettled(self) -> tuple[Posting, ...]:
        """POSTs that may have started a capture: the last one, unless it is proven that it did not.

        The next POST is journalled only once all before it are proven to have started nothing.
        """
        nothing = {answer.number for answer in self.answers if answer.refused}
        nothing |= {absence.number for absence in self.absences}
        return tuple(posting for posting in self.postings[-1:] if posting.number not in nothing)
