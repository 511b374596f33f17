"""A FileStore in memory."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from domain.ports import FileMissing, FilesUnavailable


class FakeFileStore:
    """Keeps files; `away` makes every call fail."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.away = False

    def put(self, key: str, file: BinaryIO, size: int) -> None:
        self._answer()
        self.files[key] = file.read(size)

    @contextmanager
    def fetch(self, key: str) -> Iterator[BinaryIO]:
        self._answer()
        if key not in self.files:
            raise FileMissing("the file is not in the store")
        yield io.BytesIO(self.files[key])

    def delete(self, key: str) -> None:
        self._answer()
        self.files.pop(key, None)

    def _answer(self) -> None:
        if self.away:
            raise FilesUnavailable("the file store does not answer (Fake); nothing was changed")
