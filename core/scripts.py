"""Which language a script tells: Han with Kana is Japanese, Hangul is Korean. Pure and total."""

from __future__ import annotations

import re

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3"

# Ranges of letters, the languages that are written in them (the one to name first), and how many letters of an alphabet
# one of them is worth: a character of Han says as much as half an English word.
_SCRIPTS: dict[str, tuple[str, tuple[str, ...], float]] = {
    "han": (_HAN, ("zh", "ja"), 2.5),
    "kana": (_KANA, ("ja",), 1.5),
    "hangul": (_HANGUL, ("ko",), 2.5),
    "cyrillic": ("\u0400-\u052f", ("ru", "uk", "bg", "sr", "mk", "be", "kk", "ky", "mn", "tg"), 1.0),
    "greek": ("\u0370-\u03ff\u1f00-\u1fff", ("el",), 1.0),
    "armenian": ("\u0531-\u0587", ("hy",), 1.0),
    "hebrew": ("\u05d0-\u05ea", ("he", "yi"), 1.0),
    "arabic": ("\u0620-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc", ("ar", "fa", "ur", "ps", "ug", "ku"), 1.0),
    "devanagari": ("\u0900-\u097f", ("hi", "mr", "ne"), 1.0),
    "bengali": ("\u0980-\u09ff", ("bn", "as"), 1.0),
    "gurmukhi": ("\u0a00-\u0a7f", ("pa",), 1.0),
    "gujarati": ("\u0a80-\u0aff", ("gu",), 1.0),
    "tamil": ("\u0b80-\u0bff", ("ta",), 1.0),
    "telugu": ("\u0c00-\u0c7f", ("te",), 1.0),
    "kannada": ("\u0c80-\u0cff", ("kn",), 1.0),
    "malayalam": ("\u0d00-\u0d7f", ("ml",), 1.0),
    "thai": ("\u0e00-\u0e7f", ("th",), 1.0),
    "georgian": ("\u10a0-\u10ff", ("ka",), 1.0),
}
NOT_LATIN = frozenset(code for _, codes, _ in _SCRIPTS.values() for code in codes) - {"sr", "ku"}
"""Languages that are not written in the Latin script."""

_RUNS = re.compile("|".join(f"(?P<{name}>[{letters}]+)" for name, (letters, _, _) in _SCRIPTS.items()))
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+")
# Letters that only one of a script's languages has.
_TELLING = {"cyrillic": (("uk", "іїєґ"), ("be", "ў"), ("mk", "ѓќѕ"), ("sr", "ђћџљњј")), "arabic": (("fa", "پچژگ"),)}
_FEWEST_WORDS = 3
_KANA_SHARE = 0.1  # of a Japanese text: names and figures leave little of it
_GREEK_SYMBOLS = 3  # "α" and "β" are words of English finance


def languages_of_script(text: str) -> tuple[str, ...]:
    """The languages that the script of most of `text` is used for, the likeliest first; empty for Latin or none.

    Names and acronyms of another script do not count: an English sentence may name a company in Chinese, and a Chinese
    one is full of capitals.
    """
    if text.isascii():
        return ()
    letters: dict[str, int] = {}
    for run in _RUNS.finditer(text):
        letters[run.lastgroup or ""] = letters.get(run.lastgroup or "", 0) + run.end() - run.start()
    if not letters:
        return ()
    if letters.get("greek", 0) <= _GREEK_SYMBOLS:
        letters.pop("greek", None)
    weight = {name: count * _SCRIPTS[name][2] for name, count in letters.items()}
    if not weight or sum(weight.values()) <= _latin_letters(text):
        return ()
    script = max(weight, key=lambda name: weight[name])
    if script in ("han", "kana"):
        kana, han = letters.get("kana", 0), letters.get("han", 0)
        return ("ja",) if kana > _KANA_SHARE * (kana + han) else _SCRIPTS["han"][1]
    languages = _SCRIPTS[script][1]
    for language, marks in _TELLING.get(script, ()):
        if any(mark in marks for mark in text.lower()):
            return (language, *(other for other in languages if other != language))
    return languages


def _latin_letters(text: str) -> int:
    """Letters of Latin words that are no names; of a text in capitals, of all of them."""
    words = [word for word in _LATIN.findall(text) if len(word) > 1]
    ordinary = [word for word in words if word.islower()]
    if not ordinary and len(words) >= _FEWEST_WORDS and all(word.isupper() for word in words):
        ordinary = words
    return sum(map(len, ordinary))
