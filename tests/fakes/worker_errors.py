"""Errors of workers, counted in memory."""


class FakeWorkerErrors:
    """The WorkerErrors port; every error is of this minute."""

    def __init__(self) -> None:
        self.count = 0

    def note(self) -> None:
        self.count += 1

    def last_minute(self) -> int | None:
        return self.count
