"""What a file is by its content, where it is not what its name says; and the way out for each kind. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", "open it and save it as CSV UTF-8"),
    (b"%PDF", "a PDF document", "its tables have to be exported by other means"),
    (b"\x1f\x8b", "gzip within gzip", "`gunzip` it once"),
    (b"BZh", "packed with bzip2", "`bunzip2` it, or pack it with gzip"),
    (b"\xfd7zXZ\x00", "packed with xz", "`unxz` it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "`zstd -d` it, or pack it with gzip"),
    (b"\x04\x22\x4d\x18", "packed with lz4", "`lz4 -d` it, or pack it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"PAR1", "a Parquet file", "name it .parquet"),
    (b"ORC", "an ORC file", "convert it to Parquet"),
    (b"Obj\x01", "an Avro file", "convert it to JSON Lines: `avro-tools tojson FILE > FILE.jsonl`"),
    (b"ARROW1", "an Arrow (Feather) file", "convert it to Parquet"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"\x80\x04\x95", "a Python pickle", "pickles are never opened; export it as Parquet"),
)
# Comments and strings are matched whole or not at all: hostile ones would be tried in every combination otherwise.
_MARKUP = re.compile(
    rb"(?>(?:<\?xml[^>]*>\s*|(?><!--.*?-->)\s*)*)<(!doctype html|html|rss|feed|rdf:RDF|[A-Za-z!])", re.DOTALL | re.I
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.|\\\Z)*+(?:"|\Z)|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_PATHS = 3
_DEEPEST = 50
_MOST_CHARACTERS = 64_000
DELIMITERS = (",", "\t", ";", "|")


def foreign_kind(head: bytes) -> tuple[str, str] | None:
    """What a file that begins with `head` is, and what to do about it; None for text of records, as far as it shows."""
    if head.startswith(b"PK\x03\x04"):
        if b"xl/" in head[:4096] or b"[Content_Types].xml" in head[:4096]:
            return "an Excel workbook (.xlsx)", "open it and save it as CSV UTF-8"
        return "a zip archive", "unpack it; gzip may stay"
    for magic, name, advice in _MAGIC:
        if head.startswith(magic):
            return name, advice
    if head[257:262] == b"ustar":
        return "a tar archive", "unpack it"
    match = _MARKUP.match(head[:4096].removeprefix(b"\xef\xbb\xbf").lstrip())
    if match is None:
        return None
    element = match.group(1).lower()
    if element in (b"rss", b"feed", b"rdf:rdf"):
        return "an RSS or Atom feed", "list its address in a feeds file (--feeds)"
    if element in (b"!doctype html", b"html"):
        return "a web page (HTML)", "perhaps the answer to a login or an error; get the file itself"
    return (
        ("an XML document", "convert its records to JSON Lines or CSV") if head.lstrip().startswith(b"<?xml") else None
    )


def single_document_advice(text: str) -> str | None:
    """The way out for a file of JSON that is one document, or objects over several lines; None if it is neither."""
    stripped = text[:_MOST_CHARACTERS].lstrip()
    if stripped[:1] not in ("{", "["):
        return None
    paths, several = record_paths(stripped)
    if stripped.startswith("{") and stripped.partition("\n")[0].rstrip().endswith("},"):
        return "its lines end in commas, as if cut out of an array; `sed 's/,$//'` removes them"
    if stripped.startswith("["):
        return "it holds one JSON array, not one object a line; `jq -c '.[]'` writes its items one a line"
    if several:
        return "it holds JSON objects that are not one a line; `jq -c .` writes them one a line"
    if paths:
        return (
            f"it holds one JSON document, not one object a line; its records seem to stand in "
            f"{' or '.join(f'`{path}`' for path in paths)}: `jq -c '{paths[0]}'` writes them one a line"
        )
    if "\n" in stripped.strip():
        return "it holds JSON over several lines, not one object a line; `jq -c .` writes each object on one line"
    return None


def record_paths(text: str) -> tuple[list[str], bool]:
    """Where a JSON document that begins with `text` has lists of objects, as jq writes paths; and whether another
    document follows the first."""
    paths: list[str] = []
    stack: list[str] = []  # of each open bracket: "[" or the key that was read last in the object
    keys: list[str] = []
    last = ""
    ended = False
    for token in (match.group() for match in _TOKEN.finditer(text[:_MOST_CHARACTERS])):
        if ended:
            return paths, token in "{["
        if token in "{[":
            if token == "{" and last == "[" and "[" not in stack[:-1] and len(paths) < _MOST_PATHS:
                path = "".join(_step(key) for key in keys) or "."
                if f"{path}[]" not in paths:
                    paths.append(f"{path}[]")
            stack.append(token)
            keys.append("")
            if len(stack) > _DEEPEST:
                return paths, False
        elif token in "}]":
            if stack:
                stack.pop()
                keys.pop()
            ended = not stack
        elif token == ":" and keys:
            keys[-1] = last[1:-1]
        last = token
    return paths, False


def _step(key: str) -> str:
    if not key:
        return ""
    return f".{key}" if _WORD.fullmatch(key) else f'."{key[:60]}"'


def looks_like_table(text: str) -> bool:
    """Whether the first lines of `text` have the same number of delimited columns, at least two."""
    lines = [line for line in text.splitlines()[:10] if line.strip()]
    for delimiter in DELIMITERS:
        widths = {len(row) for row in _split(lines, delimiter)}
        if len(widths) == 1 and widths.pop() > 1:
            return True
    return False


def _split(lines: Iterable[str], delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return []
