"""So many requests a minute for each user: counted after the login, told in every answer."""

import math

from flask import Flask, Response, g, request

from api.auth import caller, known_caller
from api.context import services
from domain.errors import TooMany
from domain.ports import Taken

REASON = "user_requests_per_minute"
NOT_MODIFIED = 304
# The names of blueprints of pages begin so.
PAGES = "pages_"


def register(app: Flask) -> None:
    """Count every request that `api.auth` lets in; register it right after that."""
    app.before_request(_count)
    app.after_request(_tell)


def _count() -> None:
    if known_caller() is None:
        return
    limits, user_id = services().limits, caller().user_id
    is_page = (request.blueprint or "").startswith(PAGES)
    g.taken = taken = limits.page(user_id) if is_page else limits.request(user_id)
    if taken is not None and not taken.allowed:
        raise TooMany(
            f"{taken.limit} requests a minute are the limit: wait a little",
            reason=REASON,
            limit=taken.limit,
            retry_after=taken.reset_after,
        )


def _tell(response: Response) -> Response:
    taken: Taken | None = g.get("taken")
    if taken is None:
        return response
    if response.status_code == NOT_MODIFIED:
        services().limits.unchanged(taken)
    response.headers["X-RateLimit-Limit"] = str(taken.limit)
    response.headers["X-RateLimit-Remaining"] = str(taken.remaining)
    seconds = math.ceil(taken.reset_after.total_seconds())
    response.headers["X-RateLimit-Reset"] = str(seconds)
    return response
