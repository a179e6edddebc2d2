"""The record of a filter that was applied after the download."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Residual(BaseModel):
    """What was filtered after the download: the raw files hold all packets, the merged one what matched."""

    # Fields of newer versions are kept, and do not stop this version from reading.
    model_config = ConfigDict(extra="allow", frozen=True)

    expression: str = Field(description="In pcap-filter's language")
    packets: int = Field(description="Packets before")
    kept: int = Field(description="Packets that matched; a summary's other numbers are about these")
    inner: bool = Field(False, description="It was applied to the innermost packet, behind tags and tunnels")
    hint: str = Field("", description="What to write if nothing matched, but packets inside do; else empty")
