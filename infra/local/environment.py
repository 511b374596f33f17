"""What the children of `make run` are told, and how commands beside it find the same services."""

import fcntl
import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local import postgres
from infra.local.services import emulator_environment, messages_queue_url
from infra.settings import Settings

STATE = ".local"
# Where each embedded service stands in for something given: one of these names is set.
GIVEN_BY = {
    "postgres": ("DATABASE_URL",),
    "redis": ("REDIS_ENDPOINT",),
    "aws": ("AWS_ENDPOINT_URL", "SQS_RATE_LIMITER_QUEUE_URL"),
    "simulator": ("ONLYFANS_API_URL",),
}
# Settings of a service that was not given would only mislead the embedded one.
STRAY = {
    "redis": ("REDIS_AUTH_TOKEN",),
    "aws": ("SQS_QUEUE_URL_PREFIX",),
    "simulator": ("ONLYFANS_API_KEY",),
}
DEFAULT_MEDIA_HOSTS = ",".join(Settings.model_fields["media_allowed_hosts"].default)
DEMO_EMAIL = "demo@huntaze.example"
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that can be taken for another


@dataclass(frozen=True)
class Ports:
    """Of the embedded services that run, and of the web process."""

    web: int
    postgres: int
    redis: int
    aws: int
    simulator: int


def embedded(given: Mapping[str, str]) -> frozenset[str]:
    """The services that the environment does not name, so that we run our own."""
    return frozenset(
        service for service, names in GIVEN_BY.items() if not any(given.get(name) for name in names)
    )


def child_environment(
    given: Mapping[str, str], kept: Mapping[str, str], ports: Ports
) -> dict[str, str]:
    """What is given wins; what is missing is filled in. `kept` = the secrets of this checkout."""
    ours = embedded(given)
    strays = {name for service in ours for name in STRAY.get(service, ())} | {"METRICS_PORT"}
    environment = {name: value for name, value in given.items() if name not in strays}
    for name in kept.keys() - {"ONLYFANS_API_KEY"}:
        environment[name] = given.get(name) or kept[name]
    if "postgres" in ours:
        environment = postgres.server_environment(environment)
        environment["DATABASE_URL"] = postgres.url(ports.postgres)
    if "redis" in ours:
        environment["REDIS_ENDPOINT"] = f"127.0.0.1:{ports.redis}"
    if "aws" in ours:
        endpoint = f"http://127.0.0.1:{ports.aws}"
        environment = emulator_environment(environment)
        environment["AWS_ENDPOINT_URL"] = endpoint
        environment["SQS_RATE_LIMITER_QUEUE_URL"] = messages_queue_url(endpoint)
    if "simulator" in ours:
        environment["ONLYFANS_API_URL"] = f"http://127.0.0.1:{ports.simulator}/api"
        environment["ONLYFANS_CONNECT_URL"] = f"http://127.0.0.1:{ports.simulator}/connect"
        environment["ONLYFANS_API_KEY"] = kept["ONLYFANS_API_KEY"]
    # Demo media lie in the emulator's bucket and at the simulator.
    own = {"aws": ports.aws, "simulator": ports.simulator}
    origins = [f"http://127.0.0.1:{own[name]}" for name in sorted(own.keys() & ours)]
    hosts = given.get("MEDIA_ALLOWED_HOSTS") or DEFAULT_MEDIA_HOSTS
    environment["MEDIA_ALLOWED_HOSTS"] = ",".join([hosts, *origins])
    defaults = {
        "PORT": str(ports.web),
        "PUBLIC_URL": f"http://127.0.0.1:{ports.web}",
        "S3_BUCKET": Settings.model_fields["s3_bucket"].default,
        "VISIBILITY_TIMEOUT_SECONDS": str(
            Settings.model_fields["visibility_timeout_seconds"].default
        ),
        "PYTHONUNBUFFERED": "1",
    }
    for name, value in defaults.items():
        environment[name] = given.get(name) or value
    return environment | process_environment(given)


def process_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Our own programs come first, and nothing local goes through a proxy."""
    local = ",".join(filter(None, [given.get("NO_PROXY"), "127.0.0.1,localhost"]))
    path = os.pathsep.join([str(Path(sys.executable).parent), given.get("PATH") or os.defpath])
    return {"PATH": path, "NO_PROXY": local, "no_proxy": local}


def kept_secrets(state: Path) -> dict[str, str]:
    """The secrets of this checkout: made once, then kept, so that logins and tokens stay good."""
    file = state / "secrets.json"
    kept: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    made = made_secrets()
    if made.keys() - kept.keys():
        kept = made | kept
        write_private(file, kept)
    return kept


def made_secrets() -> dict[str, str]:
    password = "".join(secrets.choice(LETTERS) for _ in range(8))
    return {
        "JWT_SECRET": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": secrets.token_urlsafe(48),
        "ONLYFANS_WEBHOOK_SECRET": secrets.token_urlsafe(32),
        "ONLYFANS_API_KEY": f"simulator-{secrets.token_urlsafe(24)}",
        "DEMO_PASSWORD": f"demo-{password}",
    }


def write_private(file: Path, value: object) -> None:
    """Replace a JSON file at once, readable by its owner only."""
    half = file.with_suffix(".half")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        json.dump(value, opened, indent=1)
    half.replace(file)


def shared_part(environment: Mapping[str, str]) -> dict[str, str]:
    """What a command beside the running stack needs; nothing else of the shell is stored."""
    own = {name.upper() for name in Settings.model_fields} - {"METRICS_PORT"}
    wanted = own | {"DEMO_PASSWORD"}
    return {
        name: value
        for name, value in environment.items()
        if name in wanted or name.startswith("AWS_")
    }


def running_environment(root: Path) -> dict[str, str] | None:
    """The settings of the `make run` that is up in the checkout `root`; None if none is.

    Variables set explicitly should win: `{**(running_environment(root) or {}), **os.environ}`.
    """
    state = root / STATE
    try:
        with (state / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    except OSError:
        return None
    else:
        return None
    try:
        found: dict[str, str] = json.loads((state / "env.json").read_text(encoding="utf-8"))
    except FileNotFoundError:  # it is only starting
        return None
    return found
