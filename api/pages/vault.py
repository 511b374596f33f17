"""Files that an account has sent before, offered to be sent once more."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from domain.conversations import VaultFile
from domain.messages import attachments_of

# Of an account at once; those before them are named by their addresses.
OFFERED = 24

Mark = tuple[str, Literal["bad", "wait", "plain"]]


@dataclass(frozen=True)
class Offer:
    """A file to tick, with what there is to know before it is sent."""

    url: str
    type: str
    mark: Mark | None
    is_chosen: bool = False

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1] or self.type


def offers(
    files: Sequence[VaultFile],
    mark: Callable[[VaultFile], Mark | None],
    chosen: Collection[str] = (),
) -> Sequence[Offer]:
    """The files, after those that are chosen already but stand no more among them: a choice is
    never lost."""
    known = {one.url for one in files}
    kept = attachments_of([url for url in dict.fromkeys(chosen) if url not in known])
    return [
        *(Offer(one.url, one.type, None, is_chosen=True) for one in kept),
        *(Offer(one.url, one.type, mark(one), one.url in chosen) for one in files),
    ]
