"""What can go wrong, in the user's terms. `api/errors.py` maps each class to an HTTP status."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class FieldProblem:
    """One bad field and what to change about it."""

    field: str
    message: str


class DomainError(Exception):
    """An anticipated refusal: nothing was stored, `code` is stable, the text is for people."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class Invalid(DomainError):
    """The input breaks a rule; `problems` names each field."""

    code = "invalid"

    def __init__(self, *problems: FieldProblem, code: str = "invalid") -> None:
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems), code=code)
        self.problems = problems


class NotFound(DomainError):
    """Missing, or somebody else's: the two are told apart by nobody."""

    code = "not_found"


class Conflict(DomainError):
    """The thing is in a state that does not allow this; the text says which and what to do, and
    `problems` names what it collides with."""

    code = "conflict"

    def __init__(self, message: str, *problems: FieldProblem, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.problems = problems


class Forbidden(DomainError):
    """The caller's role does not allow this."""

    code = "forbidden"


class TooMany(DomainError):
    """Asked too often; the same request is good again after `retry_after`. `reason` names which
    limit it was, `limit` how many it allows."""

    code = "rate_limited"

    def __init__(self, message: str, *, reason: str, limit: int, retry_after: timedelta) -> None:
        super().__init__(message)
        self.reason = reason
        self.limit = limit
        self.retry_after = retry_after


class IllegalTransition(DomainError):
    """A state change that is not in the transition table; a bug unless a race explains it."""

    code = "illegal_transition"


class Unavailable(DomainError):
    """A dependency is away; nothing was lost and the same call may succeed later."""

    code = "unavailable"
