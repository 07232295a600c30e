"""JSON Lines as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from core.file_kinds import looks_like_table, single_document_advice
from core.json_objects import NotAnObject, read_object
from core.lines import MAX_LINE_BYTES, Line, LineFile
from core.rows import ReadOptions, Row


class JsonLines:
    """One JSON object a line."""

    def __init__(self, path: Path, file: LineFile, options: ReadOptions) -> None:
        self._file = file
        self.encoding = file.described_encoding
        self.doubtful = file.doubtful

    @property
    def progress(self) -> float:
        return self._file.progress

    def close(self) -> None:
        self._file.close()

    def rows(self, after: int = 0) -> Iterator[Row]:
        utf8 = self._file.encoding == "utf-8"
        for number, line in enumerate(self._file.lines(), start=1):
            if number > after and line.data.strip():
                yield self._row(number, line, utf8)

    def unreadable(self, sample: Sequence[Row]) -> str:
        head = self._file.head.decode(self.encoding, errors="replace").lstrip("\ufeff")
        if (advice := single_document_advice(head)) is not None:
            return advice
        reason = f"line {sample[0].number}: {sample[0].reason}"
        if looks_like_table(head):
            return f"it looks like a table, not like JSON ({reason}); name it .csv if it is one"
        return f"{reason}; expected one JSON object a line, in {self.encoding} (--encoding states another)"

    def _row(self, number: int, line: Line, utf8: bool) -> Row:
        if not line.complete:
            return Row(number, line.data, None, f"the line has {line.length} bytes; at most {MAX_LINE_BYTES} are read")
        try:
            if utf8:
                try:
                    return Row(number, line.data, read_object(line.data))
                except NotAnObject:
                    pass  # perhaps for a bad byte
            text, replaced = self._file.text(line)
            return Row(number, line.data, read_object(text), replaced=replaced)
        except NotAnObject as error:
            return Row(number, line.data, None, str(error))
