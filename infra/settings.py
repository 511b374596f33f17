"""Every setting, read once from the environment and passed in; an unknown value refuses to start.

`.env.example` lists the same names (a test compares them). Durations are seconds unless the name
says otherwise. `huntaze doctor` prints this table with the secrets redacted.
"""

import os
import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from domain.media import MediaHosts

QUEUES = ("messages", "campaigns", "imports", "inbound", "metrics")

TRUE, FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})


def strict_bool(value: object) -> object:
    """A typo in a switch must refuse to start, never pick a side."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise ValueError("use true or false")


def split_list(value: object) -> object:
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


def host_and_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("use host:port, for example 127.0.0.1:6379")
    return value


def media_hosts(value: list[str]) -> list[str]:
    MediaHosts.parse(value)
    return value


def web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("use an http or https address")
    return value


def upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


StrictBool = Annotated[bool, BeforeValidator(strict_bool)]
WebAddress = Annotated[str, AfterValidator(web_address)]
HostPort = Annotated[str, AfterValidator(host_and_port)]
Listed = Annotated[list[str], BeforeValidator(split_list)]
MediaHostList = Annotated[list[str], BeforeValidator(split_list), AfterValidator(media_hosts)]
Secrets = Annotated[list[SecretStr], BeforeValidator(split_list)]


class SettingsError(Exception):
    """The environment does not make a configuration; the text names each setting and the remedy."""


class Settings(BaseModel):
    """The whole configuration of one process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Dependencies
    database_url: str = Field(description="PostgreSQL, postgresql://user:password@host:port/name")
    redis_endpoint: HostPort = Field(description="Redis, host:port")
    redis_auth_token: SecretStr | None = Field(None, description="Redis AUTH; switches TLS on")
    aws_region: str = Field("us-east-1", description="AWS region of the queues and the bucket")
    aws_access_key_id: str | None = Field(None, description="optional: a task role is preferred")
    aws_secret_access_key: SecretStr | None = Field(None, description="with the key id")
    aws_session_token: SecretStr | None = Field(None, description="for temporary credentials")
    aws_endpoint_url: str | None = Field(None, description="an emulator instead of AWS")
    sqs_rate_limiter_queue_url: str = Field(description="the queue `messages`")
    sqs_queue_url_prefix: str | None = Field(
        None,
        description="prefix + name = the other queues; default: the messages queue's URL up to its"
        " last slash, then huntaze-",
    )
    s3_bucket: str = Field("huntaze-uploads", description="uploaded CSV files and exports")
    onlyfans_api_url: str = Field(
        "https://app.onlyfansapi.com/api", description="the platform's HTTP gateway"
    )
    onlyfans_api_key: SecretStr = Field(
        SecretStr(""), description="bearer key of connections without a key of their own"
    )
    onlyfans_connect_url: WebAddress | None = Field(
        None, description="the gateway's page that connects an account and leads back to ours"
    )
    onlyfans_webhook_secret: Secrets = Field(
        default_factory=list,
        description="signs inbound webhooks, without it none is taken; a list while rotating",
    )

    # Identity
    jwt_secret: Secrets = Field(description="the first signs, all verify; a list while rotating")
    encryption_keys: Secrets = Field(
        default_factory=list,
        description="the first encrypts, all decrypt; default: from JWT_SECRET",
    )
    access_token_seconds: int = Field(
        43_200, ge=60, le=86_400, description="life of a login: a working day"
    )
    public_url: str = Field("http://127.0.0.1:8000", description="how browsers reach us")

    # Switches
    rate_limiter_enabled: StrictBool = Field(
        True, description="false = accept and hold; there is no unlimited mode"
    )
    onlyfans_crm_enabled: StrictBool = Field(
        True, description="false = API, pages and workers rest"
    )

    # What people decide
    fan_delete_mode: Literal["soft", "hard"] = Field(
        "soft", description="deleting a fan: soft = can be restored, hard = erases, owners only"
    )

    # Observation
    cloudwatch_namespace: str = Field(
        "Huntaze/OnlyFans", description="of the CloudWatch metrics; empty = none"
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(upper)
    ] = Field("INFO", description="of the JSON log lines")
    metrics_every_seconds: float = Field(
        60, ge=1, le=300, description="between two looks at what happened, for the metrics"
    )
    metrics_port: int = Field(0, ge=0, le=65535, description="Prometheus, per process; 0 = off")
    metrics_host: str = Field("127.0.0.1", description="where Prometheus is answered")
    otel_exporter_otlp_endpoint: WebAddress | None = Field(
        None, description="an OpenTelemetry collector that takes traces over HTTP; empty = none"
    )
    build: str = Field("dev", description="shown by /health and /api/monitoring/onlyfans")

    # The product's limits
    port: int = Field(8000, ge=1, le=65535, description="of the web process")
    bind_host: str = Field(
        "127.0.0.1", description="where the web process listens; containers set 0.0.0.0"
    )
    trusted_proxies: int = Field(
        0, ge=0, le=5, description="proxies in front whose X-Forwarded-For is believed"
    )
    rate_limit_per_minute: float = Field(
        10, gt=0, le=6000, description="messages a minute of a connection without a rate of its own"
    )
    rate_limit_burst: int = Field(
        1,
        ge=1,
        le=100,
        description="messages at once after a rest; the worst minute is rate + burst - 1",
    )
    api_rate_limit_per_minute: int = Field(
        60, gt=0, le=1_000_000, description="requests a minute of one user, all its keys together"
    )
    send_max_attempts: int = Field(
        3, ge=1, le=10, description="answers proving not sent before a message fails"
    )
    media_allowed_hosts: MediaHostList = Field(
        ["s3.amazonaws.com", "*.amazonaws.com"],
        description="where media may come from: hosts and *.domains are reached by https at public"
        " addresses only; scheme://host:port is one origin that you trust wherever it leads",
    )
    media_max_bytes: int = Field(
        104_857_600, ge=1, le=5_368_709_120, description="of one media file; 100 MiB"
    )
    bulk_max_recipients: int = Field(
        100, ge=1, le=100_000, description="of one campaign, counted after exclusions"
    )
    csv_max_bytes: int = Field(
        10_485_760, ge=1, le=1_073_741_824, description="of one uploaded CSV file; 10 MiB"
    )
    release_lead_ms: int = Field(
        300, ge=0, le=2000, description="how long before its slot a permit leaves the pacer"
    )

    # Times (checked against each other below)
    statement_timeout_seconds: float = Field(5, gt=0, description="one PostgreSQL statement")
    redis_timeout_seconds: float = Field(1, gt=0, description="one Redis call")
    platform_timeout_seconds: float = Field(
        20, gt=0, description="a platform call, all of it, a dripping body too"
    )
    delivery_deadline_seconds: float = Field(29, gt=0, lt=30, description="a whole delivery task")
    send_lease_seconds: float = Field(
        60, gt=0, description="how long a row may be `sending`, and a begun permit out"
    )
    permit_lease_seconds: float = Field(90, gt=0, description="a permit not yet begun")
    media_timeout_seconds: float = Field(
        60, gt=0, le=90, description="fetching one media file, all of it; and uploading it"
    )
    unknown_grace_seconds: float = Field(
        60, ge=0, description="before an `unknown` message is looked for on the platform"
    )
    wake_after_seconds: float = Field(
        30, gt=0, description="a row whose event was published is looked at again"
    )
    sync_every_seconds: float = Field(
        300, ge=10, description="a connection is compared with the platform's own lists again"
    )
    import_lease_seconds: float = Field(
        30, gt=0, description="an import whose worker has not been heard of is taken up again"
    )
    visibility_timeout_seconds: int = Field(
        120, ge=1, le=43_200, description="of the queue messages, as created locally"
    )

    # Process sizes
    worker_threads: int = Field(
        64,
        ge=1,
        le=512,
        description="of worker-messages: two calls for each of 30 hanging accounts",
    )
    database_pool_size: int = Field(10, ge=1, le=100, description="connections a process may hold")

    @model_validator(mode="before")
    @classmethod
    def _fill_derived(cls, values: Any) -> Any:
        if (
            isinstance(values, dict)
            and not values.get("encryption_keys")
            and values.get("jwt_secret")
        ):
            values = {**values, "encryption_keys": values["jwt_secret"]}
        return values

    @model_validator(mode="after")
    def _times_fit_into_each_other(self) -> Self:
        steps = [
            ("PLATFORM_TIMEOUT_SECONDS", self.platform_timeout_seconds),
            ("DELIVERY_DEADLINE_SECONDS", self.delivery_deadline_seconds),
            ("SEND_LEASE_SECONDS", self.send_lease_seconds),
        ]
        for (small, a), (large, b) in pairwise(steps):
            if a >= b:
                raise ValueError(f"{small} ({a:g}) must be below {large} ({b:g})")
        if self.delivery_deadline_seconds >= self.visibility_timeout_seconds:
            raise ValueError("DELIVERY_DEADLINE_SECONDS must be below VISIBILITY_TIMEOUT_SECONDS")
        return self

    def queue_url(self, queue: str) -> str:
        """The SQS URL of one of `QUEUES`; its dead-letter queue has the same name plus `-dlq`."""
        if queue == "messages":
            return self.sqs_rate_limiter_queue_url
        prefix = self.sqs_queue_url_prefix
        if prefix is None:
            prefix = self.sqs_rate_limiter_queue_url.rsplit("/", 1)[0] + "/huntaze-"
        return prefix + queue

    def redacted(self) -> dict[str, str]:
        """Name -> value for people, secrets and passwords replaced."""
        return {name.upper(): redact(value) for name, value in self}


def redact(value: object) -> str:
    if isinstance(value, SecretStr):
        return "set" if value.get_secret_value() else "empty"
    if isinstance(value, list):
        return ", ".join(redact(item) for item in value)
    if isinstance(value, str) and "@" in value and "://" in value:
        parts = urlsplit(value)
        return value.replace(parts.netloc, f"***@{parts.netloc.rpartition('@')[2]}")
    return "" if value is None else str(value)


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raises SettingsError naming each bad one and what to change."""
    try:
        given = {
            name: environment[name.upper()]
            for name in Settings.model_fields
            if environment.get(name.upper())  # an empty value is none
        }
        return Settings(**given)
    except ValidationError as problem:
        lines = [
            f"{'_'.join(str(part) for part in error['loc'][:1]).upper() or 'SETTINGS'}: "
            + (
                "is required"
                if error["type"] == "missing"
                else error["msg"].removeprefix("Value error, ")
            )
            for error in problem.errors()
        ]
        raise SettingsError("\n".join(lines)) from None


def load_settings_or_exit(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings, or the end of the process: exit code 2 and each bad setting on stderr."""
    try:
        return load_settings(environment)
    except SettingsError as problem:
        print(f"Huntaze does not start. Change these settings:\n{problem}", file=sys.stderr)  # noqa: T201  # before any logging
        raise SystemExit(2) from None
