"""The part of an incident that a capture is. Its intent's id follows from the part, not from the run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgecap.captures import identity

Phase = Literal["before", "during", "after"]


class IncidentPart(BaseModel):
    """Which part of which incident a capture is. Filled in by the flow `respond`."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Part of an incident")

    incident: str = Field(pattern="^[0-9a-f]{32}$", description="The incident's id")
    phase: Phase = Field(description="Packets from before, during or after the attack")
    number: int = Field(ge=1, description="Within the phase")
    alert: dict[str, Any] = Field(default_factory=dict, description="The alert, for the manifest")
    choice: dict[str, Any] | None = Field(
        None, description="How its place was chosen, for the manifest; null if it was named"
    )

    @property
    def intent_id(self) -> str:
        """The id of its intent."""
        return identity.intent_id(self.incident, self.phase, str(self.number))

    def __str__(self) -> str:
        """Such as `incident 1f0c22ab before 2`."""
        return f"incident {self.incident[:8]} {self.phase} {self.number}"
