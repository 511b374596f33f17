"""Lists in pages: a page, the cursor to the next one, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

# Counting stops here, and the answer says so: nobody needs to know 1,234,567 from 1,234,568, and
# counting them would cost more than the page.
TOTAL_MAX = 10_000
# A search, or a filter that looks into a second table, is counted no further: what it is looked
# through for is its first page.
SEARCH_TOTAL_MAX = 1_000


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page. `total` counts the whole list up to TOTAL_MAX; `is_capped` says there are more."""

    items: Sequence[T]
    total: int
    is_capped: bool
    next_cursor: str | None
