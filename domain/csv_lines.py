"""From bytes to records: lines, quotes and cells, in memory that does not grow with the file.

A quote that is never closed costs one line only, the one where it opened: what follows is read
as if that line were not there.
"""

import codecs
import csv
import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

CHUNK_BYTES = 1 << 16
# A record, with its line breaks: as much as is held of it.
RECORD_MAX, RECORD_LINES_MAX = 1 << 16, 200
CELL_MAX = 10_000


class Record(NamedTuple):
    """A line that is not blank, from where it begins. `problem` is the code of what is wrong with
    its form; its cells are then only good for showing."""

    line: int
    cells: list[str]
    problem: str | None = None


def decoded(file: BinaryIO, codec: str) -> Iterator[str]:
    """The text in pieces, from where the file stands; never parts a carriage return from its line
    feed. Raises UnicodeDecodeError."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(codec)(), translate=False)
    while chunk := file.read(CHUNK_BYTES):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def lines_of(file: BinaryIO, codec: str) -> Iterator[str]:
    """The lines with their ends, whichever those are. One of more than RECORD_MAX characters may
    come cut, but stays longer than that."""
    held = ""
    for text in decoded(file, codec):
        lines = io.StringIO(held + text, newline="").readlines()
        held = ""
        if lines and lines[-1][-1] not in "\r\n":
            held = lines.pop()[: RECORD_MAX + 1]
        yield from lines
    if held:
        yield held


@dataclass(slots=True)
class _Ahead:
    """A line that was read to look for the end of a quote. `ends`: where a quote that is open at
    its beginning stands at its end; None until asked."""

    text: str
    ends: str | None = None


class Records:
    """Reads the records of lines, one after another; `number` is that of the last line taken."""

    def __init__(self, lines: Iterator[str], delimiter: str, number: int = 0) -> None:
        self.number = number
        self._lines = lines
        self._delimiter = delimiter
        self._ahead: deque[_Ahead] = deque()
        # How many of the lines ahead, from the first, are known to leave an open quote open, and
        # their characters. Without this memory, a file that opens a quote in every line would be
        # read two hundred times over.
        self._open_lines = self._open_size = 0

    def read(self, skip: int = 0) -> Iterator[Record]:
        """The records from here on, but for the first `skip`, which are not looked into."""
        delimiter = self._delimiter
        while line := self._take():
            number = self.number
            if len(line) > RECORD_MAX:
                record = Record(number, self._torn(line[:RECORD_MAX]), "line_too_long")
            elif '"' in line:
                record = self._quoted(line)
                if record.problem is None and not any(map(str.strip, record.cells)):
                    continue
            elif not line[0].isalnum() and not line.replace(delimiter, " ").strip():
                continue
            elif skip:
                skip -= 1
                continue
            else:
                cells = line.rstrip("\r\n").split(delimiter)
                if len(line) > CELL_MAX and max(map(len, cells)) > CELL_MAX:
                    record = Record(number, self._torn(line), "cell_too_long")
                elif "\0" in line:
                    record = Record(number, [_visible(cell) for cell in cells], "nul_character")
                else:
                    record = Record(number, cells)
            if skip:
                skip -= 1
                continue
            yield record

    def _take(self) -> str:
        """The next line; "" at the end."""
        if self._ahead:
            line = self._ahead.popleft().text
            if self._open_lines:
                self._open_lines -= 1
                self._open_size -= len(line)
        else:
            line = next(self._lines, "")
        self.number += 1
        return line

    def _quoted(self, line: str) -> Record:
        number = self.number
        text = line.rstrip("\r\n")
        cells = self._split(text)
        if cells is None:
            if self._split(text + '\n"') is None:
                return Record(number, self._torn(text), "malformed_quotes")
            rest = self._find_end(len(line))
            if not rest:
                return Record(number, self._torn(text), "unclosed_quote")
            text = line + "".join(self._take() for _ in range(rest)).rstrip("\r\n")
            cells = self._cells(text)
        if max(map(len, cells)) > CELL_MAX:
            return Record(number, [_visible(cell[:CELL_MAX]) for cell in cells], "cell_too_long")
        if "\0" in text:
            return Record(number, [_visible(cell) for cell in cells], "nul_character")
        return Record(number, cells)

    def _find_end(self, size: int) -> int:
        """How many more lines the record takes whose quote is open after `size` characters; 0 if
        it is not closed within the bounds, or not as it should be."""
        while True:
            if self._open_lines == len(self._ahead):
                line = next(self._lines, "")
                if not line:
                    return 0
                self._ahead.append(_Ahead(line))
            candidate = self._ahead[self._open_lines]
            long = size + self._open_size + len(candidate.text) > RECORD_MAX
            if long or self._open_lines + 2 > RECORD_LINES_MAX:
                return 0
            if candidate.ends is None:
                candidate.ends = self._end_of(candidate.text.rstrip("\r\n"))
            if candidate.ends != "open":
                return self._open_lines + 1 if candidate.ends == "closed" else 0
            self._open_lines += 1
            self._open_size += len(candidate.text)

    def _end_of(self, text: str) -> str:
        """Where a quote stands at the end of a line at whose beginning it is open."""
        if self._split('"' + text) is not None:
            return "closed"
        return "malformed" if self._split('"' + text + '\n"') is None else "open"

    def _split(self, text: str) -> list[str] | None:
        """The cells; None if a quote is open at the end, or more follows where one was closed."""
        try:
            return self._cells(text)
        except csv.Error:
            return None

    def _cells(self, text: str) -> list[str]:
        """Blanks before a quote are passed over: people write `Jane, "Doe, J."`."""
        return next(
            csv.reader((text,), delimiter=self._delimiter, strict=True, skipinitialspace=True)
        )

    def _torn(self, text: str) -> list[str]:
        return [_visible(cell[:CELL_MAX]) for cell in text.split(self._delimiter)]


def _visible(text: str) -> str:
    """NUL as a character that databases keep."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
