"""THE MAP: which event starts which task, on which queue.

An event has one route; only the probe visits every queue. To add one: a line here, its task in
`workers/`, and, for a new queue, `infra.settings.QUEUES` and the Procfile.
"""

from dataclasses import dataclass

from domain.events import (
    CampaignCompleted,
    CampaignProgressed,
    CampaignStarted,
    ConversationRead,
    CsvUploaded,
    ImportUndoRequested,
    MediaRequested,
    MessageReleased,
    MessageRequested,
    Payload,
    PlatformEventReceived,
    Probed,
    SyncDue,
    UnsendRequested,
)
from infra.settings import QUEUES


@dataclass(frozen=True)
class Route:
    """An event, the task it starts, and the queue between them."""

    event: type[Payload]
    task: str
    queue: str


ROUTES = (
    Route(MessageRequested, "deliver_requested", "messages"),
    Route(MessageReleased, "deliver_released", "messages"),
    Route(SyncDue, "sync_connection", "inbound"),
    Route(UnsendRequested, "unsend_message", "messages"),
    Route(ConversationRead, "tell_read", "inbound"),
    Route(MediaRequested, "stage_media", "imports"),
    Route(CampaignStarted, "fan_out_campaign", "campaigns"),
    Route(CampaignProgressed, "count_campaign", "metrics"),
    Route(CampaignCompleted, "close_campaign", "metrics"),
    Route(CsvUploaded, "import_csv", "imports"),
    Route(ImportUndoRequested, "undo_import", "imports"),
    Route(PlatformEventReceived, "handle_platform_event", "inbound"),
    *(Route(Probed, "answer_probe", queue) for queue in QUEUES),
)

# The redrive policy of every queue: the fifth receive is the last.
MAX_RECEIVES = 5

BY_EVENT = {route.event: route for route in ROUTES}


def route_of(payload: Payload) -> Route:
    """Where an event goes; raises KeyError for one without a route."""
    if isinstance(payload, Probed):
        return Route(Probed, BY_EVENT[Probed].task, payload.queue)
    return BY_EVENT[type(payload)]


def tasks_on(queue: str) -> frozenset[str]:
    """The names of the tasks that one queue carries."""
    return frozenset(route.task for route in ROUTES if route.queue == queue)
