"""The audit log as response bodies."""

from api.schemas import audit as schemas
from domain.repositories import AuditLine


def line(one: AuditLine) -> schemas.AuditLineView:
    return schemas.AuditLineView(
        id=one.id,
        at=one.at,
        actor_id=one.actor_id,
        action=one.action,
        subject=one.subject,
        subject_id=one.subject_id,
        detail=dict(one.detail),
        request_id=one.request_id,
    )
