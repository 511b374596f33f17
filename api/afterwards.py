"""What may be done after the answer: nobody waits for it, or learns how long it took."""

from collections.abc import Callable

from flask import Response, after_this_request, g
from structlog.contextvars import bound_contextvars

from api.context import services
from domain.errors import Unavailable


def afterwards(work: Callable[[], object]) -> None:
    """Do it once this request's answer is sent; a failure is logged and changes nothing."""
    journal, request_id = services().journal, g.request_id

    def run() -> None:
        with bound_contextvars(correlation_id=request_id):
            try:
                work()
            except Unavailable as problem:
                journal.note("afterwards_left_out", reason=str(problem))
            except Exception as problem:  # noqa: BLE001  # the request is over; nobody else tells
                journal.alert("afterwards_failed", exc_info=problem)

    def attach(response: Response) -> Response:
        response.call_on_close(run)
        return response

    after_this_request(attach)
