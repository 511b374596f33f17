"""The team as response bodies."""

from api.schemas import team as schemas
from domain.users import User


def member(one: User) -> schemas.MemberView:
    return schemas.MemberView(
        id=one.id,
        email=one.email,
        role=one.role,
        time_zone=one.time_zone,
        created_at=one.created_at,
    )
