"""The options of the simulated edge, and running it."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from edgecap.errors import ConfigError
from edgecap.simulator.buckets import EdgeBuckets
from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import ANALYTICS_DELAY, ANALYTICS_ONE_IN, HOLD_AT_MOST, SIMPLE_SPACING, Edge
from edgecap.simulator.faults import Faults, parse_fault
from edgecap.simulator.log import EdgeLog
from edgecap.simulator.serve import LOOPBACK, serve
from edgecap.simulator.traffic import Traffic, open_traffic
from edgecap.simulator.traffic.synthetic import RATE
from edgecap.simulator.variants import VARIANTS, Variant, make_variant

SAMPLE_ONE_IN = 10
ACCOUNT_ID = "023e105f4ecef8ad9ca31a8372d0c353"


class SimulatorOptions(BaseModel):
    """Options of the simulated edge. Secrets can also come from the environment."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(LOOPBACK, description="Address to listen at")
    port: int = Field(0, ge=0, le=65_535, description="Port to listen at; 0 takes a free one")
    speed: float = Field(
        1.0, gt=0, description="How fast its clock, limits and durations run; 60 makes a minute last a second"
    )
    seed: int = Field(1, description="Seed of traffic, durations and dice")
    traffic: str = Field(
        "synthetic",
        description="synthetic, replay:FILE,... (PCAP files) or live:INTERFACE (this machine's packets)",
    )
    rate: float = Field(
        RATE,
        ge=0,
        description="Made-up packets a second at each server of ORD, without attacks; less elsewhere",
    )
    spread: bool = Field(
        default=False,
        description="Made-up packets arrive at all 30 cities, by shares that change slowly, and each attack "
        "at some of them",
    )
    mitigate: bool = Field(
        default=False,
        description="The edge drops packets before captures see them: most of an attack from some seconds "
        "after its start on, and what the customer's firewall rules name",
    )
    analytics_delay: float = Field(
        ANALYTICS_DELAY,
        ge=0,
        description="Seconds until a packet can be in an answer of Network Analytics, which needs --spread "
        "or --mitigate",
    )
    analytics_one_in: int = Field(
        ANALYTICS_ONE_IN, ge=1, description="Network Analytics samples one of this many packets"
    )
    variant: str = Field("documented", description=f"Variant of the API to simulate: {', '.join(VARIANTS)}")
    set: dict[str, str] = Field(
        default_factory=dict, description="Single choices of the variant, such as list_lag=5"
    )
    fault: list[str] = Field(
        default_factory=list, description="Fault to inject, such as reset,method=POST,path=*/pcaps,count=1"
    )
    log: Path | None = Field(None, description="File that takes every request and event, a JSON line each")
    account_id: str = Field(
        pattern="^[0-9a-f]{32}$",
        default_factory=lambda: os.environ.get("CLOUDFLARE_ACCOUNT_ID") or ACCOUNT_ID,
        description="The account, 32 hexadecimal digits (CLOUDFLARE_ACCOUNT_ID)",
    )
    api_token: SecretStr = Field(
        default_factory=lambda: SecretStr(os.environ.get("CLOUDFLARE_API_TOKEN") or secrets.token_hex(20)),
        description="The token that may do everything; made up if not given (CLOUDFLARE_API_TOKEN)",
    )
    no_analytics: bool = Field(
        default=False, description="The token and the key lack the permission for Network Analytics"
    )
    logpush: str = Field(
        "",
        description="Folder of a bucket that gets Logpush's rows of Network Analytics, such as "
        "s3://bucket/logs?region=auto; needs --spread or --mitigate",
    )
    analytics_token: SecretStr | None = Field(None, description="A token that may only read analytics")
    read_token: SecretStr | None = Field(None, description="A token that may only read")
    email: str | None = Field(
        default_factory=lambda: os.environ.get("CLOUDFLARE_EMAIL") or None,
        description="E-mail address that signs in with the API key (CLOUDFLARE_EMAIL)",
    )
    api_key: SecretStr | None = Field(
        default_factory=lambda: _secret("CLOUDFLARE_API_KEY"),
        description="Key that goes with the address (CLOUDFLARE_API_KEY)",
    )
    s3_endpoint: str | None = Field(
        default_factory=lambda: (
            os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
        ),
        description="S3 server of the s3: and r2: buckets (AWS_ENDPOINT_URL_S3)",
    )
    gcs_endpoint: str | None = Field(
        default_factory=lambda: os.environ.get("STORAGE_EMULATOR_HOST") or None,
        description="GCS server of the gs: buckets (STORAGE_EMULATOR_HOST)",
    )
    s3_access_key_id: SecretStr | None = Field(
        default_factory=lambda: _secret("AWS_ACCESS_KEY_ID"),
        description="The edge's own key for buckets (AWS_ACCESS_KEY_ID)",
    )
    s3_secret_access_key: SecretStr | None = Field(
        default_factory=lambda: _secret("AWS_SECRET_ACCESS_KEY"),
        description="Its secret (AWS_SECRET_ACCESS_KEY)",
    )
    simple_spacing: float = Field(
        SIMPLE_SPACING, ge=0, description="Seconds between two simple captures, on the simulator's clock"
    )
    sample_one_in: int = Field(
        SAMPLE_ONE_IN, ge=1, description="A simple capture sees one of this many packets"
    )
    hold_at_most: int = Field(
        HOLD_AT_MOST, ge=1, description="Bytes of packets to keep here at a time, before they are delivered"
    )


def make_edge(options: SimulatorOptions) -> Edge:
    """The edge for these options, not yet started.

    Raises:
        ConfigError: an option is wrong, or the traffic or the log file cannot be opened.
    """
    variant = make_variant(options.variant, options.set)
    faults = Faults(map(parse_fault, options.fault), seed=options.seed)
    clock = Clock(options.speed)
    # At real-time speed, the kernel's own time stamps are better.
    own = clock.now if options.speed != 1 else None
    traffic = open_traffic(
        options.traffic,
        seed=options.seed,
        rate=options.rate,
        clock=own,
        spread=options.spread,
        mitigate=options.mitigate,
    )
    try:
        log = EdgeLog(clock, options.log)
    except OSError as error:
        traffic.close()
        raise ConfigError(
            f"the log cannot be written: {error.strerror}", where=str(options.log), hint="name another file"
        ) from None
    try:
        return _edge(options, traffic, clock, variant, faults, log)
    except BaseException:
        traffic.close()
        log.close()
        raise


def _edge(
    options: SimulatorOptions, traffic: Traffic, clock: Clock, variant: Variant, faults: Faults, log: EdgeLog
) -> Edge:
    return Edge(
        traffic=traffic,
        buckets=EdgeBuckets(
            options.s3_endpoint, options.gcs_endpoint, options.s3_access_key_id, options.s3_secret_access_key
        ),
        credentials=_credentials(options),
        clock=clock,
        variant=variant,
        faults=faults,
        log=log,
        simple_spacing=options.simple_spacing,
        sample_one_in=options.sample_one_in,
        seed=options.seed,
        hold_at_most=options.hold_at_most,
        analytics_delay=options.analytics_delay,
        analytics_one_in=options.analytics_one_in,
        logpush=options.logpush,
    )


def run(options: SimulatorOptions, on_ready: Callable[[dict[str, str]], None]) -> None:
    """Run the simulated edge until SIGINT or SIGTERM.

    Args:
        options: the options.
        on_ready: called with the variables for a client, once the edge accepts calls.

    Raises:
        ConfigError: an option is wrong.
        SetupError: the port is taken.
    """

    def tell(base_url: str) -> None:
        on_ready(
            {
                "CLOUDFLARE_BASE_URL": base_url,
                "CLOUDFLARE_ACCOUNT_ID": options.account_id,
                "CLOUDFLARE_API_TOKEN": options.api_token.get_secret_value(),
            }
        )

    asyncio.run(serve(make_edge(options), host=options.host, port=options.port, on_ready=tell))


def _credentials(options: SimulatorOptions) -> list[Credential]:
    accounts, analytics = frozenset({options.account_id}), not options.no_analytics
    known = [Credential("token", accounts, token=options.api_token.get_secret_value(), analytics=analytics)]
    if options.analytics_token is not None:
        token = options.analytics_token.get_secret_value()
        known.append(Credential("analytics", accounts, token=token, captures=False))
    if options.read_token is not None:
        token = options.read_token.get_secret_value()
        known.append(Credential("read", accounts, token=token, write=False, analytics=False))
    if options.email and options.api_key is not None:
        key = options.api_key.get_secret_value()
        known.append(Credential("key", accounts, email=options.email, key=key, analytics=analytics))
    return known


def _secret(variable: str) -> SecretStr | None:
    value = os.environ.get(variable)
    return SecretStr(value) if value else None
