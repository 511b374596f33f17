"""What a handler needs of the application around it."""

from collections.abc import Callable
from datetime import datetime
from typing import cast

from flask import Flask, current_app

from infra.wiring import Services

Clock = Callable[[], datetime]


def attach(app: Flask, services: Services, clock: Clock) -> None:
    """Give the application its services and its clock."""
    app.extensions["huntaze"] = services, clock


def services() -> Services:
    """The services of the application that answers this request."""
    return cast("tuple[Services, Clock]", current_app.extensions["huntaze"])[0]


def now() -> datetime:
    """The present, aware and UTC."""
    return cast("tuple[Services, Clock]", current_app.extensions["huntaze"])[1]()
