"""Symbols in a text: cashtags, exchanges before a colon, codes in brackets, Bloomberg's and Chinese notations. Pure.

Linear in the text: each notation has a mark that seldom occurs, is looked for only where its mark stands, and reads a
bounded number of characters around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stream.symbols import canonical, is_exchange, listed, unqualified

# No cashtag follows a letter or a digit of the Latin script (US$3, A$AP); a Chinese sentence has no spaces.
_TAG = (
    r"[$＄](?:[A-Za-z][A-Za-z0-9]{0,14}(?:&[A-Za-z]{1,5}(?=\.))?|[0-9]{1,6}[A-Za-z]?)"
    r"(?:(?:-|/(?=[A-Da-dKk](?![A-Za-z])|[A-Z]{3}))[A-Za-z]{1,6})?(?:\.[A-Za-z]{1,6})?"
)
_LATIN = "0-9A-Za-z_\u00c0-\u024f"
_CASHTAGS = re.compile(rf"(?<![{_LATIN}$＄])(?:{_TAG})+(?![{_LATIN}$＄])")
# "$AAPL$", as Chinese forums write it.
_CLOSED_CASHTAGS = re.compile(rf"(?<![{_LATIN}$＄])({_TAG})[$＄](?![{_LATIN}$＄])")
_HAN = re.compile("[\u3400-\u9fff]")
_ONE_CASHTAG = re.compile(r"[$＄]([A-Za-z0-9&]+)([-/][A-Za-z]+)?(\.[A-Za-z]+)?")
_COLON = re.compile(r"[:：][ \u3000\xa0]{0,2}(?=[$＄]?[A-Za-z0-9])")
_COUNTRY = re.compile(r"[A-Z]{2}(?![A-Za-z0-9:])")
_COUNTRY_CODE = re.compile(r"(?<![A-Za-z0-9$./&-])[A-Z0-9]{1,8}(?:/[A-Z])?$")
_NAME_BEFORE = re.compile(r"[^\W_]+(?:[ .&-][^\W_]+){0,3}$")
_CODE = re.compile(
    r"[$＄]?([A-Za-z0-9]{1,10}(?:&[A-Z])?(?:[./-][A-Za-z]{1,3}|[ ][A-Z](?=[)\]】）]))?(?:\.[A-Z]{1,4})?)(?![A-Za-z0-9])"
)
_NEXT = re.compile(r"\s*(?:[,，、/&;；]|and|or|和|及)\s*(?=[$＄]?[A-Z0-9])")
_BRACKETS = re.compile(r"[(（\[【<＜]([^()（）\[\]【】<>＜＞]{1,60})[)）\]】>＞]")
_PARTS = re.compile(r"\s*[,，;；、|]\s*|\s+/\s+")
_DOTTED = re.compile(r"[A-Z0-9&]{1,15}[a-z]?(?:[-/][A-Z]{1,5})?\.[A-Z]{1,6}")
_DASHED = re.compile(r"([^\W\d_][\w .&]{1,30}?)\s*[–—-]\s*([A-Z0-9]{1,8}(?:[./-][A-Z]{1,3})?)")
_BLOOMBERG = re.compile(r"[A-Z0-9]{1,8}(?:[/-][A-Z])? [A-Z]{2}(?: (?:Equity|EQUITY))?")
_PREFIXED = re.compile(r"(?:SH|SZ|BJ|HK)\.?[0-9]{5,6}", re.IGNORECASE)
# Without brackets: codes whose digits and suffix leave no doubt, and what only Bloomberg writes.
_SUFFIX = re.compile(r"\.(?:S[HSZ]|HK|BJ|TWO?|T|K[SQ]|NS|BO)(?![A-Za-z0-9_/@])")
_CODE_BEFORE = re.compile(r"(?<![A-Za-z0-9_.$＄/@&-])(?:[0-9]{4,6}|[A-Z][A-Z0-9&-]{0,14})$")
_WITH_PREFIX = re.compile(r"(?<![A-Za-z0-9_./])(?:SH|SZ|BJ)[0-9]{6}(?![A-Za-z0-9_])", re.IGNORECASE)
_WITH_COUNTRY = re.compile(
    r"(?<![A-Za-z0-9_.,$＄/])(?:[A-Z0-9/]{1,9} [A-Z]{2} (?:Equity|EQUITY)"
    r"|[0-9]{1,5} HK(?! ?[$＄]| dollar| DOLLAR))(?![A-Za-z0-9_])"
)
_NO_SUFFIX = frozenset(["to", "is", "as", "at", "me", "so", "it", "de", "in", "no", "co", "on", "us"])
_PREFIXES = ("SH6", "SZ0", "SZ3", "SH9", "BJ", "sh6", "sz0", "sz3")
_REACH = 40  # characters before a colon in which its exchange and an opening bracket are looked for


def symbols_in(text: str, known: frozenset[str], acronyms: frozenset[str]) -> Iterator[str]:
    """Canonical symbols that `text` mentions, in no order, some of them more than once.

    `known`, canonical symbols by which doubtful codes are decided; `acronyms`, words in small letters that stand in
    brackets without being tickers.
    """
    if "$" in text or "＄" in text:
        runs = _CASHTAGS.findall(text)
        if not text.isascii() and _HAN.search(text):
            runs += _CLOSED_CASHTAGS.findall(text)
        for run in runs:
            if run[1:].isalpha():
                symbol = canonical(run)
                if symbol is not None:
                    yield symbol
            else:
                yield from _cashtags(run)
    if ":" in text or "：" in text:
        for colon in _COLON.finditer(text):
            yield from _after_colon(text, colon, known)
    if any(bracket in text for bracket in "(（[【<＜"):
        for content in _BRACKETS.finditer(text):
            yield from _in_brackets(text, content, known, acronyms)
    if "." in text:
        for suffix in _SUFFIX.finditer(text):
            yield from _before_suffix(text, suffix)
    if any(prefix in text for prefix in _PREFIXES):
        yield from filter(None, map(canonical, _WITH_PREFIX.findall(text)))
    if " HK" in text or "quity" in text or " EQUITY" in text:
        for written in _WITH_COUNTRY.findall(text):
            symbol = canonical(written)
            if symbol is not None and (symbol in known or written.upper().endswith("EQUITY")):
                yield symbol


def _before_suffix(text: str, suffix: re.Match[str]) -> Iterator[str]:
    code = _CODE_BEFORE.search(text[max(0, suffix.start() - 16) : suffix.start()])
    # Letters before a suffix of Asia's exchanges are a symbol in India alone.
    if code is not None and (code[0].isdigit() or suffix[0] in (".NS", ".BO")):
        symbol = canonical(code[0] + suffix[0])
        if symbol is not None:
            yield symbol


def _cashtags(run: str) -> Iterator[str]:
    tags = _ONE_CASHTAG.findall(run)
    if len(tags) > 1 and any(base[0].isdigit() and not end for base, _, end in tags):
        return  # "$A$1" is a cell of a sheet, "$2$HOT" is decoration
    for base, share, end in tags:
        if len(end) > 2 and not (end.isupper() or (base.islower() and end.islower() and end[1:] not in _NO_SUFFIX)):
            end = ""  # the next sentence: "$AAPL.Great", "$aapl.is"
        for written in dict.fromkeys((base + share + end, base + share, base)):
            symbol = canonical(written)
            if symbol is not None:
                yield symbol
                break


def _after_colon(text: str, colon: re.Match[str], known: frozenset[str]) -> Iterator[str]:
    before = text[max(0, colon.start() - _REACH) : colon.start()].rstrip()
    bracketed = max(map(before.rfind, "(（[【<＜")) > max(map(before.rfind, ")）]】>＞"))
    name = _exchange_before(before)
    if not name:
        yield from _before_country(text, before, colon, bracketed, known)
        return
    position = colon.end()
    while match := _CODE.match(text, position):
        written = match[1]
        if position > colon.end() and text[match.end() : match.end() + 2].lstrip()[:1] in (":", "："):
            return  # the next exchange, not a code on this one
        if not bracketed and not written.isupper() and not written.isdigit():
            return
        symbol = _of_market(name, written, known)
        if symbol is None and not bracketed and "." in written:  # the end of a sentence without its space
            symbol = _of_market(name, written.partition(".")[0], known)
        if symbol is None:
            return
        if bracketed or colon.end() - colon.start() == 1 or (symbol in known and len(written) > 1):
            yield symbol
        following = _NEXT.match(text, match.end())
        if not bracketed or following is None:
            return
        position = following.end()


def _before_country(
    text: str, before: str, colon: re.Match[str], bracketed: bool, known: frozenset[str]
) -> Iterator[str]:
    """Bloomberg's notation on the web: "BA:US", "(700:HK)"."""
    code, country = _COUNTRY_CODE.search(before), _COUNTRY.match(text, colon.end())
    if code is not None and country is not None and colon[0] == ":":
        symbol = canonical(f"{code[0]} {country[0]}")
        if symbol is not None and (bracketed or symbol in known):
            yield symbol


def _exchange_before(before: str) -> str:
    """The name of an exchange, or of a stock code, at the end of `before`, else nothing."""
    for code in ("股票代码", "证券代码", "股份代号", "代码", "Stock Code", "stock code"):
        if before.endswith(code):
            return code
    match = _NAME_BEFORE.search(before)
    name = match[0] if match else ""
    while name:
        if is_exchange(name):
            return name if not name[0].islower() or before[: -len(name)].endswith(("(", "[")) else ""
        if name[-1] > "\u2e80" and len(name) > 4:  # no spaces in front of a Chinese name
            return next((name[-length:] for length in (8, 7, 6, 5, 4, 3) if is_exchange(name[-length:])), "")
        name = re.split(r"[ .&-]", name, maxsplit=1)[1] if re.search(r"[ .&-]", name) else ""
    return ""


def _of_market(name: str, written: str, known: frozenset[str]) -> str | None:
    if is_exchange(name):
        return listed(name, written)
    if written.isdigit():
        return unqualified(written.rjust(5, "0") if name.lower() == "stock code" else written, known)
    return canonical(written) if "." in written else None


def _in_brackets(text: str, brackets: re.Match[str], known: frozenset[str], acronyms: frozenset[str]) -> Iterator[str]:
    content = brackets[1]
    before = text[: brackets.start()][-2:].rstrip()[-1:] if brackets.start() else ""
    angled = brackets[0][0] in "<＜"
    for part in _PARTS.split(content.strip()):
        if _DOTTED.fullmatch(part):
            symbol = canonical(part)
            if symbol is not None and (
                angled or len(part.split(".")[0]) > 1 or (symbol in known and part not in _STATES)
            ):
                yield symbol
        elif part.isdigit():
            if 4 <= len(part) <= 6:
                symbol = unqualified(part, known, before)
                if symbol is not None and (before > "\u2e80" or (symbol in known and not part.endswith("000"))):
                    yield symbol
        elif (dashed := _DASHED.fullmatch(part)) is not None and is_exchange(dashed[1]):
            symbol = listed(dashed[1], dashed[2])
            if symbol is not None:
                yield symbol
        elif _PREFIXED.fullmatch(part) or (_BLOOMBERG.fullmatch(part) and _is_bloomberg(part, known)):
            symbol = canonical(part)
            if symbol is not None:
                yield symbol
        elif _is_ticker(part, known, acronyms) and (len(part) > 2 or before > "\u2e80"):
            yield part


def _is_ticker(part: str, known: frozenset[str], acronyms: frozenset[str]) -> bool:
    return part in known and part.isalpha() and 2 <= len(part) <= 5 and part.lower() not in acronyms


_STATES = frozenset(("U.S", "U.K", "U.N", "D.C", "A.I", "E.U", "L.P", "P.O"))


def _is_bloomberg(part: str, known: frozenset[str]) -> bool:
    return part.upper().endswith("EQUITY") or canonical(part) in known or (part[0].isdigit() and part.endswith(" HK"))
