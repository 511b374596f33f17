"""Lines of CSV files that spreadsheets open: no cell of ours is run as a formula."""

import csv
import io
from collections.abc import Iterable

from domain.csv_rows import GUARDED

BOM = "\N{BYTE ORDER MARK}"


def line(cells: Iterable[object]) -> str:
    """One line; a text that a spreadsheet would run is quoted by an apostrophe, a number never."""
    written = io.StringIO()
    csv.writer(written).writerow(map(_safe, cells))
    return written.getvalue()


def _safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(GUARDED) else cell
