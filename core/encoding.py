"""From bytes to text by evidence: byte order mark, declarations, content. Pure.

Declarations lie, so each is only one witness: bytes that are valid UTF-8 are UTF-8 whatever is declared, UTF-8 with a
few bad bytes stays UTF-8, and any other declaration counts as far as the text it gives is plausible.
Encodings are named by codecs of Python; labels are read as the WHATWG Encoding Standard reads them (gb2312 is gb18030).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

import chardet

from core.errors import InputError
from core.plausibility import plausibility

SAMPLE_BYTES = 64_000
_REPLACEMENT = "\ufffd"

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Codec -> labels, beyond the names that Python knows itself, or where Python takes them for a narrower encoding.
_LABELS = {
    "utf-8": "utf8 utf-8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8 us-ascii ascii utf-8-sig",
    "cp1252": "iso-8859-1 iso8859-1 iso_8859-1 iso88591 latin1 latin-1 l1 cp819 ibm819 ansi x-cp1252 windows-1252",
    "cp1254": "iso-8859-9 iso8859-9 iso_8859-9 iso88599 latin5 l5 x-cp1254",
    "cp1250": "x-cp1250",
    "cp1251": "x-cp1251 win-1251 cp-1251",
    "gb18030": "gb2312 gb_2312-80 gb_2312 gbk x-gbk cp936 ms936 chinese csgb2312 iso-ir-58 euc-cn gb18030",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5 cp950 ms950 big5hkscs",
    "euc_jp": "euc-jp x-euc-jp cseucpkdfmtjapanese eucjp",
    "cp932": "shift_jis shift-jis sjis s-jis x-sjis ms_kanji csshiftjis windows-31j ms932 cp932",
    "cp949": "euc-kr euckr ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 korean iso-ir-149 windows-949 uhc cp949",
    "cp874": "tis-620 tis620 iso-8859-11 iso8859-11 iso885911 windows-874 dos-874",
    "koi8-u": "koi8-u koi8-ru",
    "koi8-r": "koi8-r koi8 koi csko18r cskoi8r",
    "utf-16-le": "unicode utf-16 utf16 utf-16le ucs-2 iso-10646-ucs-2 csunicode",
    "utf-16-be": "utf-16be unicodefffe",
    "utf-32-le": "utf-32 utf32 utf-32le ucs-4",
    "utf-32-be": "utf-32be",
    "mac-roman": "macintosh x-mac-roman csmacintosh",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "iso8859-8": "iso-8859-8-i logical",
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}
_NOT_FOR_TEXT = ("utf-7", "idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem")
# Always weighed, whatever is declared: scripts that are told apart by their letters. The rest is left to chardet.
_CANDIDATES = ("gb18030", "big5hkscs", "euc_jp", "cp932", "cp949", "cp1251", "koi8-u", "iso8859-5", "cp1252")
_DECLARED_BONUS = 0.2
_DETECTED_BONUS = 0.2
_PLAUSIBLE = 0.3  # below this no candidate is believed without a doubt
_FEWEST_CHARACTERS = 3  # fewer characters beyond ASCII prove nothing by themselves
_ESCAPES = ((b"\x1b$B", "iso2022_jp_ext"), (b"\x1b$@", "iso2022_jp_ext"), (b"\x1b$)C", "iso2022_kr"))
_UTF8 = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_TAGS = re.compile(rb"<[^<>]*>")
_FOREIGN = re.compile(rb"[\x80-\xff][\x20-\x7e\x80-\xff]*")
_BYTES_BEFORE = 16


@dataclass(frozen=True)
class Decoded:
    """The text, the codec that gave it, whether the choice is doubtful, and how many bad places were replaced."""

    text: str
    encoding: str
    doubtful: bool = False
    replaced: int = 0


@dataclass(frozen=True)
class Detected:
    """The codec of Python that reads the sampled bytes, byte order mark included, and whether that is doubtful."""

    encoding: str
    doubtful: bool = False


def codec_of(label: str) -> str:
    """The codec that a label means ("GB2312" is gb18030, "iso-8859-1" windows-1252). Raises InputError if none does."""
    name = label.strip().strip("\"'").lower()
    if name in _CODECS:
        return _CODECS[name]
    try:
        info = codecs.lookup(name[:60])
    except (LookupError, ValueError, UnicodeError):
        info = None
    if info is None or info.name in _NOT_FOR_TEXT or not info._is_text_encoding:
        raise InputError(
            f"no encoding is called {label[:60]!r}; names are for example utf-8, gbk, shift_jis, windows-1252"
        )
    return _CODECS.get(info.name, info.name)


def decode(data: bytes, *, stated: str = "", declared: Sequence[str] = ()) -> Decoded:
    """The text of `data`, without its byte order mark; bad bytes become U+FFFD and are counted.

    `stated`: the encoding that the operator states, which overrules everything. `declared`: labels found in headers or
    in the document, the weightiest first; unknown ones are ignored. Raises InputError for an unknown `stated` label.
    """
    bom, marked = _bom(data)
    if stated:
        encoding = codec_of(stated)
        if marked and marked[:6] == encoding[:6]:  # of UTF-16 and UTF-32, the mark tells the order of bytes
            return _decoded(data[len(bom) :], marked, False)
        return _decoded(data, encoding, False)
    encoding, doubtful = _choose(data, declared)
    return _decoded(data[len(bom) :] if marked == encoding else data, encoding, doubtful)


def detect(sample: bytes, *, declared: Sequence[str] = ()) -> Detected:
    """How the file or stream that begins with `sample` is encoded. The sample may end within a character.

    With a byte order mark the codec is one that consumes it (`utf-8-sig`, `utf-16`, `utf-32`).
    """
    encoding, doubtful = _choose(sample, declared, cut=True)
    _, marked = _bom(sample)
    if marked == encoding:
        encoding = "utf-8-sig" if marked == "utf-8" else marked[:6]
    return Detected(encoding, doubtful)


def _decoded(data: bytes, encoding: str, doubtful: bool) -> Decoded:
    text = data.decode(encoding, errors="replace")
    replaced = text.count(_REPLACEMENT)
    if encoding == "euc_jp" and replaced:  # signs of NEC and IBM, as in company names, are in the wider set only
        wider = data.decode("euc_jis_2004", errors="replace")
        if wider.count(_REPLACEMENT) < replaced:
            text, encoding, replaced = wider, "euc_jis_2004", wider.count(_REPLACEMENT)
    if replaced and encoding.startswith("utf-"):
        replaced -= data.count(_REPLACEMENT.encode(encoding))  # those that the source itself wrote
    return Decoded(text, encoding, doubtful, max(0, replaced))


def _bom(data: bytes) -> tuple[bytes, str]:
    return next(((bom, name) for bom, name in _BOMS if data.startswith(bom)), (b"", ""))


def _choose(data: bytes, declared: Sequence[str], cut: bool = False) -> tuple[str, bool]:
    """The encoding of `data` and whether it is doubtful."""
    if not data:
        return "utf-8", False
    bom, marked = _bom(data)
    wide = _wide(data[len(bom) :])
    if marked.startswith(("utf-16", "utf-32")):
        content = data[len(bom) : len(bom) + SAMPLE_BYTES]
        if wide == marked or (not _is_utf8(data[len(bom) :]) and _reads(content[: len(content) // 4 * 4], marked)):
            return marked, False
    elif wide:
        return wide, False
    for escape, encoding in _ESCAPES:
        if escape in data and _reads(data, encoding):
            return encoding, False
    if not _BEYOND_ASCII.search(data):
        return "utf-8", False
    labels = [codec for codec in map(_known_codec, declared) if codec and not codec.startswith(("utf-16", "utf-32"))]
    good, bad = _utf8_evidence(data[len(bom) :], cut)
    if not bad or good >= 2 * bad or (good >= bad and (marked == "utf-8" or "utf-8" in labels[:1])):
        return "utf-8", 10 * bad > good and "utf-8" not in labels
    return _legacy(data, labels)


def _known_codec(label: str) -> str:
    try:
        return codec_of(label)
    except InputError:
        return ""


def _wide(data: bytes) -> str:
    """UTF-16 or UTF-32 without a byte order mark, by where the zero bytes of ASCII characters stand; else ""."""
    sample = data[: SAMPLE_BYTES // 4 * 4]
    zeros = [sample[place::4].count(0) for place in range(4)]
    if 20 * sum(zeros) < len(sample) or len(sample) < 4:
        return ""
    quarter = len(sample) // 4
    if min(zeros[2:]) >= 0.9 * quarter and zeros[0] < 0.5 * quarter:
        return "utf-32-le" if _reads(sample, "utf-32-le") else ""
    if min(zeros[:2]) >= 0.9 * quarter and zeros[3] < 0.5 * quarter:
        return "utf-32-be" if _reads(sample, "utf-32-be") else ""
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if odd > 20 * even:
        return "utf-16-le"
    return "utf-16-be" if even > 20 * odd else ""


def _reads(data: bytes, encoding: str) -> bool:
    """Whether nearly all of `data` can be read so, as text of ordinary characters."""
    text = data.decode(encoding, errors="replace")
    odd = sum(
        1 for character in text if character == _REPLACEMENT or character < "\t" or "\ue000" <= character <= "\uf8ff"
    )
    return 50 * odd <= len(text)


def _is_utf8(data: bytes) -> bool:
    """Whether `data` is UTF-8 without zero bytes, as text in UTF-16 can hardly be."""
    try:
        return "\x00" not in data.decode() and bool(data)
    except UnicodeDecodeError:
        return False


def _utf8_evidence(data: bytes, cut: bool) -> tuple[int, int]:
    """Continuation bytes of valid characters of UTF-8 in `data`, and the number of bad places."""
    try:
        data.decode()
        return 1, 0
    except UnicodeDecodeError as error:
        if cut and error.reason == "unexpected end of data":
            return 1, 0
    good = sum(len(character) - 1 for character in _UTF8.findall(data))
    bad = data.decode(errors="replace").count(_REPLACEMENT) - data.count(_REPLACEMENT.encode())
    return good, max(1, bad)


def _legacy(data: bytes, labels: Sequence[str]) -> tuple[str, bool]:
    """The likeliest encoding of bytes that are not Unicode."""
    foreign = _foreign(data)
    found = chardet.detect(foreign, encoding_era=chardet.EncodingEra.MODERN_WEB | chardet.EncodingEra.LEGACY_ISO)
    detected = _known_codec(found["encoding"] or "")
    scores: dict[str, float] = {}
    texts: dict[str, str] = {}
    for encoding in dict.fromkeys((*labels, detected, *_CANDIDATES)):
        if not encoding or encoding.startswith("utf-"):
            continue
        texts[encoding] = _decoded(foreign, encoding, False).text
        scores[encoding] = plausibility(texts[encoding])
    judged = {
        encoding: score + _DECLARED_BONUS * (encoding in labels) + _DETECTED_BONUS * (encoding == detected)
        for encoding, score in scores.items()
    }
    best = max(judged, key=lambda encoding: judged[encoding])
    if best not in labels and _is_plain(foreign) and scores["cp1252"] > 0:
        return "cp1252", True  # a pound sign or an accent in English: nothing in it tells one code page from another
    doubtful = scores[best] < _PLAUSIBLE and not (best == detected and best in labels)
    if best not in labels:
        # Nobody declared it: a rival that reads nearly as well, or too little text, leaves a doubt.
        rivals = [judged[encoding] for encoding in judged if texts[encoding] != texts[best]]
        characters = sum(1 for character in texts[best] if character > "\x7f")
        doubtful = doubtful or characters < _FEWEST_CHARACTERS or max(rivals, default=-1.0) > judged[best] - 0.1
    return best, doubtful


def _is_plain(text: bytes) -> bool:
    """Whether nearly all of `text` is ASCII words."""
    beyond = len(_BEYOND_ASCII.findall(text))
    return beyond < _FEWEST_CHARACTERS and sum(byte < 0x80 for byte in text if chr(byte).isalpha()) >= 10 * beyond


def _foreign(data: bytes) -> bytes:
    """What stands beyond ASCII in `data` with some text around it, without tags, at most SAMPLE_BYTES."""
    plain = _TAGS.sub(b"\n", data)
    parts: list[bytes] = []
    size = end = 0
    for found in _FOREIGN.finditer(plain):
        begin = max(end, plain.rfind(b"\n", end, found.start()) + 1, found.start() - _BYTES_BEFORE)
        end = found.end()
        parts.append(plain[begin:end])
        size += end - begin
        if size > SAMPLE_BYTES:
            break
    return b"\n".join(parts)[:SAMPLE_BYTES]
