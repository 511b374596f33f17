"""Files that users hand over, kept until they are no longer needed."""

from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from domain.errors import DomainError, Unavailable


class FilesUnavailable(Unavailable):
    """The store does not answer; nothing was lost, and the same call may succeed later."""

    code = "storage_unavailable"


class FileMissing(DomainError):
    """There is no file of this key, or it is not the one that was put there."""

    code = "file_missing"


class FileStore(Protocol):
    """Keeps whole files by key. A key is written once."""

    def put(self, key: str, file: BinaryIO, size: int) -> None:
        """Keep `size` bytes, at least one, from where `file` stands, without holding them in
        memory; raises FilesUnavailable, and then nothing is kept under the key."""
        ...

    def fetch(self, key: str) -> AbstractContextManager[BinaryIO]:
        """The file on local disk, whole and at its beginning, for the block; raises FileMissing
        and FilesUnavailable. A connection that breaks half-way is taken up again."""
        ...

    def delete(self, key: str) -> None:
        """Forget it; no error if it is gone already. Raises FilesUnavailable."""
        ...
