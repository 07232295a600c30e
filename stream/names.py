"""Names of companies in a text, as news writes them. Pure.

A name counts as it is listed ("Apple"). In other letters ("BOEING", "bank of america") it counts where that is safe: it
has several words, or is no everyday word, or a legal form follows ("APPLE INC"), or the words around it speak of a
company ("APPLE SHARES", "SHARES OF APPLE"). Phrases that only look like a company ("shell companies") are listed too.
Chinese, Japanese and Korean names stand without spaces, so they are looked for inside the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_EAST_ASIAN = "\u2e80-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[^\W_{_EAST_ASIAN}]+(?:\.[^\W_{_EAST_ASIAN}]+)*|&")
_IS_EAST_ASIAN = re.compile(f"[{_EAST_ASIAN}]")
_ADDRESS = re.compile(r"//\S+|\bwww\.\S+")

_HARD = "inc incorporated corp corporation co ltd plc llc nv ag asa oyj spa"
_SOFT = (
    "company companies limited technologies international group holding holdings sa se ab as kk gmbh bhd tbk lp the & "
    "de cos trust"
)
_HARD_FORMS = frozenset(_HARD.split())  # that nobody writes but behind a company's name
_OF_SHARES = frozenset(("shares", "ceo", "cfo"))  # behind "Target" they leave no doubt either
_LEGAL_FORMS = _HARD_FORMS.union(_SOFT.split())
_EAST_ASIAN_FORM = re.compile(r"(?:股份有限公司|有限公司|股份公司|公司|集团|股份|控股|株式会社|グループ|주식회사)+$")


@dataclass(frozen=True)
class _Name:
    words: tuple[str, ...]  # small letters
    written: tuple[str, ...]
    ticker: str  # empty: a phrase that is no company
    everyday: bool
    in_small: bool  # a word of the language in small letters alone
    needs_form: bool  # listed with its legal form alone, so that the rest of it is no name

    @property
    def is_acronym(self) -> bool:
        return len(self.words) == 1 and len(self.written[0]) <= 4 and self.written[0].isupper()


class NameIndex:
    """Finds listed names.

    `names`: pairs of a name and its ticker; `everyday`: words and phrases of the language that are also names,
    `in_small`: those that are so in small letters alone; `phrases`: what looks like a name and is none; `beside`: words
    that show a name beside them to be a company's.
    """

    def __init__(
        self,
        names: Iterable[tuple[str, str]],
        everyday: Iterable[str],
        in_small: Iterable[str],
        phrases: Iterable[str],
        beside: Iterable[str],
    ) -> None:
        self._beside = frozenset(beside)
        ordinary = {_words(phrase) for phrase in everyday}
        small = {_words(phrase) for phrase in in_small}
        self._by_first: dict[str, list[_Name]] = {}
        self._given: dict[str, str] = {}
        self._east_asian: dict[str, list[tuple[str, str]]] = {}
        for text, ticker in (*names, *((phrase, "") for phrase in phrases)):
            if _IS_EAST_ASIAN.search(text):
                self._east_asian.setdefault(text[0], []).append((text, ticker))
                if ticker:
                    self._given[_EAST_ASIAN_FORM.sub("", text) or text] = ticker
                continue
            for written in {text, text.replace(" & ", " and "), text.replace(".", " ") if "." in text else text}:
                self._add(tuple(_WORD.findall(written)), ticker, ordinary, small)
        for listed in self._by_first.values():
            listed.sort(key=lambda name: (-len(name.words), name.needs_form))
        for found in self._east_asian.values():
            found.sort(key=lambda pair: -len(pair[0]))
        firsts = "".join(map(re.escape, self._east_asian))
        self._east_asian_first = re.compile(f"[{firsts}]") if firsts else None

    def _add(
        self,
        written: tuple[str, ...],
        ticker: str,
        ordinary: set[tuple[str, ...]],
        small: set[tuple[str, ...]],
    ) -> None:
        needs_form = len(written) > 1 and bool(ticker) and _folded(written[-1]) in _HARD_FORMS
        if needs_form:
            written = written[:-1]
        words = tuple(map(_folded, written))
        name = _Name(words, tuple(map(_joined, written)), ticker, words in ordinary, words in small, needs_form)
        if words and name not in self._by_first.setdefault(words[0], []):
            self._by_first[words[0]].append(name)
            if ticker:
                self._given.setdefault(" ".join(_without_forms(words)), ticker)

    def given(self, name: str) -> str | None:
        """The ticker of a company that a source named, in any letters and with any legal form ("APPLE INC.")."""
        if _IS_EAST_ASIAN.search(name):
            bare = _EAST_ASIAN_FORM.sub("", name.strip())
            return self._given.get(bare) or self._given.get(name.strip())
        words = _without_forms(_words(name))
        return self._given.get(" ".join(words)) if words else None

    def find(self, text: str) -> Iterator[str]:
        """Tickers of the companies that `text` names, some of them more than once."""
        return (ticker for ticker, _, _ in self.places(text))

    def places(self, text: str) -> Iterator[tuple[str, int, int]]:
        """The same, with where each name begins and ends in `text`."""
        if self._east_asian_first is not None and not text.isascii():
            yield from self._find_east_asian(text)
        if "//" in text or "www." in text:
            text = _ADDRESS.sub(lambda address: " " * len(address[0]), text)
        text = text.replace(
            "\u0130", "I"
        )  # the one letter whose small form is two characters, of which one parts words
        small = _WORD.findall(text.lower())
        if "." in text:
            small = [word if "." not in word else _joined(word) for word in small]
        by_first = self._by_first
        starts = [index for index, word in enumerate(small) if word in by_first]
        if not starts:
            return
        matches = list(_WORD.finditer(text))
        words = [match[0] for match in matches]
        position, last_end = 0, -1
        for start in starts:
            if start < position:
                continue
            for name in by_first[small[start]]:
                end = start + len(name.words)
                if tuple(small[start:end]) != name.words:
                    continue
                if not name.ticker:
                    position = end
                    break
                if self._counts(name, words, small, start, end, last_end, text):
                    yield name.ticker, matches[start].start(), matches[end - 1].end()
                    position = last_end = end
                    break

    def _counts(
        self, name: _Name, words: list[str], small: list[str], start: int, end: int, last_end: int, text: str
    ) -> bool:
        has_form = _has_hard_form(small[end : end + 2])
        written = words[start:end]
        in_capitals = all(word.isupper() for word in written if word != "&")
        if name.needs_form:
            of_shares = small[end : end + 1] and small[end] in _OF_SHARES and not written[0].islower()
            return has_form or bool(of_shares)
        as_listed = tuple(map(_joined, written)) == name.written
        if name.is_acronym:
            if name.everyday and start and small[start - 1].isdigit():  # 25 BP
                return False
            return as_listed and (
                not name.everyday or not text.isupper() or self._is_company(small, start, end, last_end)
            )
        if as_listed or has_form:
            return True
        if not name.everyday:
            if name.in_small:
                return in_capitals
            return len(name.words) > 1 or len(words[start]) > 3
        return in_capitals and self._is_company(small, start, end, last_end)

    def _is_company(self, small: list[str], start: int, end: int, last_end: int) -> bool:
        """Whether the words around small[start:end] speak of a company."""
        after = small[end : end + 2]
        if after and after[0] in self._beside:
            return True
        if start >= 2 and small[start - 1] == "of" and small[start - 2] in self._beside:
            return True
        beside = [last_end == start or (last_end == start - 1 and small[start - 1] in ("and", "&"))]
        if after and after[0] in ("and", "&"):
            after = after[1:]
        beside += [
            any(name.ticker and not name.needs_form for name in self._by_first.get(word, ())) for word in after[:1]
        ]
        return any(beside)

    def _find_east_asian(self, text: str) -> Iterator[tuple[str, int, int]]:
        assert self._east_asian_first is not None
        position = 0
        while first := self._east_asian_first.search(text, position):
            start = position = first.start()
            position += 1
            for name, ticker in self._east_asian[text[start]]:
                if text.startswith(name, start) and not _inside_katakana(name, text, start):
                    position = start + len(name)
                    if ticker:
                        yield ticker, start, position
                    break


def _has_hard_form(after: list[str]) -> bool:
    """Whether "INC" or "GROUP INC" stands behind a name."""
    return bool(after) and (after[0] in _HARD_FORMS or (after[0] in _LEGAL_FORMS and after[-1] in _HARD_FORMS))


def is_name(text: str) -> bool:
    """Whether `text` holds a word that can be looked for."""
    return bool(_WORD.search(text.replace("&", "")) or _IS_EAST_ASIAN.search(text))


def name_key(text: str) -> str:
    """What two names have in common that are found by the same words."""
    return text if _IS_EAST_ASIAN.search(text) else " ".join(map(_joined, _WORD.findall(text)))


def _inside_katakana(name: str, text: str, start: int) -> bool:
    return start > 0 and "\u30a1" <= name[0] <= "\u30fa" and "\u30a1" <= text[start - 1] <= "\u30fc"


def _joined(word: str) -> str:
    """Initials without their dots: "J.P" is "JP"."""
    if "." in word and all(len(part) == 1 for part in word.split(".")):
        return word.replace(".", "")
    return word


def _folded(word: str) -> str:
    return _joined(word).lower()


def _words(text: str) -> tuple[str, ...]:
    return tuple(map(_folded, _WORD.findall(text)))


def _without_forms(words: tuple[str, ...]) -> tuple[str, ...]:
    end, start = len(words), 0
    while end > 1 and words[end - 1] in _LEGAL_FORMS:
        end -= 1
    while start < end - 1 and words[start] == "the":
        start += 1
    return words[start:end]
