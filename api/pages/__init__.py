"""The pages: what creators and chatters live in."""

from flask import Flask

from api.pages import filters, refusals
from api.pages.analytics import analytics
from api.pages.assets import assets
from api.pages.campaigns import campaigns
from api.pages.connect import connect
from api.pages.duplicates import duplicates
from api.pages.fans import fans
from api.pages.frame import frame
from api.pages.importing import importing
from api.pages.inbox import inbox
from api.pages.monitoring import monitoring
from api.pages.notifications import notifications
from api.pages.settings import settings
from api.pages.today import today

AREAS = (
    frame,
    today,
    inbox,
    notifications,
    monitoring,
    analytics,
    campaigns,
    fans,
    duplicates,
    settings,
    connect,
    importing,
)


def register(app: Flask) -> None:
    """Add every page, its files, and pages for what goes wrong."""
    filters.register(app)
    app.register_blueprint(assets)
    for area in AREAS:
        app.register_blueprint(area)
    refusals.register(app)
