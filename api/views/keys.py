"""API keys as response bodies."""

from api.schemas import keys as schemas
from domain.keys import ApiKey


def key(one: ApiKey) -> schemas.KeyView:
    return schemas.KeyView(
        id=one.id,
        name=one.name,
        prefix=one.prefix,
        member_id=one.member_id,
        created_at=one.created_at,
        last_used_at=one.last_used_at,
    )
