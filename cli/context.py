"""What every command shares: settings from the environment, or from a running `make run`."""

import os
from functools import cache
from pathlib import Path

from infra.local.environment import running_environment
from infra.logging import configure_logging
from infra.settings import Settings, load_settings_or_exit
from infra.wiring import Services, build


@cache
def settings() -> Settings:
    """The environment's settings; in a checkout whose `make run` is up, that stack's settings fill
    what the environment leaves open."""
    running = running_environment(Path.cwd()) or {}
    return load_settings_or_exit({**running, **os.environ})


@cache
def services() -> Services:
    """Every service, for one command; only warnings are logged, so that stdout is the answer."""
    configure_logging("WARNING")
    return build(settings(), patient_bus=True)
