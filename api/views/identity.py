"""Accounts as response bodies."""

from api.schemas import identity as schemas
from domain.users import Caller, Permission, User


def user(one: User) -> schemas.UserView:
    return schemas.UserView(id=one.id, email=one.email, role=one.role)


def me(one: User, caller: Caller) -> schemas.MeReply:
    return schemas.MeReply(
        id=one.id,
        owner_id=one.owner_id,
        email=one.email,
        role=one.role,
        permissions=[each.name.lower() for each in Permission if caller.may(each)],
        time_zone=one.time_zone,
        api_key_id=caller.key_id,
    )
