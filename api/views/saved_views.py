"""Saved views as response bodies, and their filters in our terms."""

from dataclasses import asdict

from api.schemas import saved_views as schemas
from api.views.conversations import connection_id
from domain.conversations import ConversationFilter
from domain.repositories import SavedView
from domain.services.saved_views import Counted, Views


def asked(body: schemas.ViewFilter) -> ConversationFilter:
    given = body.model_dump() | {"connection_id": connection_id(body.connection_id)}
    return ConversationFilter(**given)


def _filter(one: ConversationFilter) -> schemas.FilterView:
    return schemas.FilterView(**asdict(one))


def saved(one: SavedView, counted: Counted) -> schemas.SavedView:
    return schemas.SavedView(
        id=one.id,
        name=one.name,
        filter=_filter(one.filter),
        count=counted.count,
        count_capped=counted.is_capped,
        created_at=one.created_at,
        updated_at=one.updated_at,
    )


def listed(found: Views) -> schemas.ViewsReply:
    return schemas.ViewsReply(
        built_in=[
            schemas.BuiltInView(
                id=name, filter=_filter(one), count=counted.count, count_capped=counted.is_capped
            )
            for name, one, counted in found.built_in
        ],
        views=[saved(one, counted) for one, counted in found.saved],
    )
