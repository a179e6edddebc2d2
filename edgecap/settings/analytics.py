"""The settings of an account's Network Analytics."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

MOST_PLACES = 3  # data centres that are captured for one attack, one after the other


class AnalyticsSettings(BaseModel):
    """How edgecap asks Network Analytics where an attack is (docs/network-analytics.md)."""

    model_config = ConfigDict(extra="forbid")

    token: SecretStr | None = Field(
        None,
        description="An API token with *Account Analytics: Read*, if the account's own credentials lack it",
    )
    enabled: bool = Field(default=True, description="false: never ask")
    share: float = Field(
        0.9, gt=0, le=1, description="Share of the packets that the chosen data centres hold together"
    )
    places: int = Field(
        MOST_PLACES, ge=1, le=MOST_PLACES, description="Data centres at most, captured one after the other"
    )
    window: float = Field(600.0, ge=60, le=21_600, description="Seconds of traffic that are looked at")
    wait: float = Field(
        2.0, gt=0, le=2, description="Seconds at most by which the choice of a place delays a capture"
    )
    logpush: str = Field(
        "",
        description="Where Logpush pushes the dataset `network_analytics_logs`, the folder of the days: the "
        "name of a bucket in the settings, or a URI such as `s3://logs/network-analytics`. Empty: nowhere",
    )
