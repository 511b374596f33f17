"""The tasks of imports: doorways that take one dict and call one service."""

from typing import Any

from celery import Celery
from pydantic import ValidationError

from domain.events import CsvUploaded, ImportUndoRequested
from domain.imports import ImportId
from infra.bus.broker import Poison
from infra.wiring import Services
from workers.resting import rest_if_off


def register(app: Celery, services: Services) -> None:
    """Add the tasks of imports to the queue `imports`."""

    @app.task(name="import_csv")
    def import_csv(payload: dict[str, Any]) -> None:
        """Run for CsvUploaded: import the file, or try it. A second run finds the lease taken, or
        nothing left to do."""
        try:
            uploaded = CsvUploaded.model_validate(payload)
        except ValidationError as problem:
            raise Poison(f"not a CsvUploaded: {problem.error_count()} bad fields") from None
        if not rest_if_off(services):
            services.importing.run(ImportId(uploaded.import_id))

    @app.task(name="undo_import")
    def undo_import(payload: dict[str, Any]) -> None:
        """Run for ImportUndoRequested: take the import back. A second run finds it done."""
        try:
            request = ImportUndoRequested.model_validate(payload)
        except ValidationError as problem:
            raise Poison(
                f"not an ImportUndoRequested: {problem.error_count()} bad fields"
            ) from None
        if not rest_if_off(services):
            services.importing.run(ImportId(request.import_id))
