"""A conversation is everything said between one creator's account and one fan."""

from typing import NewType

ConversationId = NewType("ConversationId", int)
