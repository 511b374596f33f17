"""Answers to webhooks."""

from api.schemas.base import Answered


class Received(Answered):
    received: bool
