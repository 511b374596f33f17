"""What the domain needs to fetch media."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class FetchedMedia:
    """A file as its host gave it, checked; `kind` is image, video or audio by its first bytes,
    `name` ends in what it is and tells nothing of where it came from."""

    file: BinaryIO
    name: str
    kind: str
    size: int
    content_hash: str


class MediaSource(Protocol):
    """Where media come from: the outside, which is hostile."""

    def fetch(self, url: str) -> AbstractContextManager[FetchedMedia]:
        """Fetch a file and keep it until the block ends. Raises MediaRefused when it will never do,
        MediaUnavailable when it may later; ends in time whatever the host does."""
        ...
