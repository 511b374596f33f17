"""Fans as response bodies."""

from api.schemas import fans as schemas
from domain.fans import Fan, recipient_id


def fan(one: Fan) -> schemas.FanView:
    return schemas.FanView(
        id=one.id,
        user_id=one.owner_id,
        name=one.name,
        platform=one.platform,
        handle=one.handle,
        email=one.email,
        avatar=one.avatar,
        tags=list(one.tags),
        value_cents=one.value_cents,
        last_seen_at=one.last_seen_at,
        notes=one.notes,
        created_at=one.created_at,
        updated_at=one.updated_at,
        linked=one.linked,
        recipient_id=recipient_id(one.id),
    )
