"""Is the language of short texts told apart, and above all: is English ever taken for what nobody reads?

    python -m benchmarks.languages --data DIR --json FILE.json

DIR holds the corpora below by the names of their folders. Headlines of other languages stand beside this file. Printed
by length in characters: the share of texts that a model of English would leave unread, which costs an English one its
label, and the share of those that are called by their language.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.fitting import is_read
from core.language import language_code, language_of
from core.text import clean

ENGLISH = {
    "twitter_fin_topic": ("topic_train.csv",),
    "twitter_fin_sentiment": ("sent_train.csv",),
    "sentfin": ("SEntFiN.csv",),
    "uci_news_headlines": ("uci_news_headlines.csv",),
    "finentity": ("finentity.csv",),
    "own": ("en_*.jsonl",),
}
CHINESE = {"own": ("zh_*.jsonl",), "fewfc_zh_events": ("fewfc_zh_events.csv",)}
TWEETS = "stocknet_tweets_2014_2016/stocknet_tweets.jsonl.gz"  # with the language that their network states
HEADLINES = Path(__file__).with_name("headlines.toml")
LENGTHS = (20, 40, 80, 160, 10**6)
_MOST_EXAMPLES = 12


@dataclass
class Found:
    """What texts of one language and length were taken for."""

    texts: int = 0
    unread: int = 0
    named: int = 0
    wrongly: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


def judge(texts: Iterable[tuple[str, str]], stated: bool = False) -> dict[str, dict[str, Found]]:
    """By group of languages (en, zh, other) and length; `texts` are pairs of a text and its language.

    `stated`: the language is also what the source states.
    """
    found: dict[str, dict[str, Found]] = {}
    for text, language in texts:
        group = language if language in ("en", "zh") else "other"
        length = next(limit for limit in LENGTHS if len(text) <= limit)
        mine = found.setdefault(group, {}).setdefault(f"<={length}" if length < LENGTHS[-1] else "more", Found())
        answer = language_of(text, language if stated else "")
        read = is_read(answer, ("en",))
        mine.texts += 1
        mine.unread += not read
        mine.named += answer == language
        if read != (language == "en"):
            mine.wrongly[answer] += 1
            if len(mine.examples) < _MOST_EXAMPLES:
                mine.examples.append(f"{answer or '?'}: {text[:120]}")
    return found


def read_corpora(data: Path, corpora: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """Cleaned texts of CSV files and JSON lines, each once."""
    seen = set()
    for folder, patterns in corpora.items():
        for file in sorted(path for pattern in patterns for path in (data / folder).glob(pattern)):
            for row in _rows(file):
                text = clean(row.get("text") or row.get("Title") or "")
                if text and text not in seen:
                    seen.add(text)
                    yield text


def read_tweets(file: Path, step: int) -> Iterator[tuple[str, str]]:
    """Every `step`-th tweet that is no retweet, with the language its network states."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            code = language_code(row.get("lang") or "")
            if code and not row.get("rt") and number % step == 0:
                yield clean(row["text"]), code


def read_headlines() -> Iterator[tuple[str, str]]:
    for language, texts in tomllib.loads(HEADLINES.read_text(encoding="utf-8"))["headlines"].items():
        for text in texts:
            yield text, language


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines) if file.suffix == ".csv" else map(json.loads, lines)


def _show(name: str, found: dict[str, dict[str, Found]]) -> None:
    print(f"\n{name}")
    for group, by_length in sorted(found.items()):
        for length in (*(f"<={limit}" for limit in LENGTHS[:-1]), "more"):
            one = by_length.get(length)
            if one is None:
                continue
            print(
                f"  {group:6} {length:>6}  {one.texts:7} texts, unread {one.unread / one.texts:8.4%}, "
                f"named {one.named / one.texts:7.2%}  {dict(one.wrongly.most_common(6)) or ''}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--step", type=int, default=4, help="of the tweets, every so many are taken")
    parser.add_argument("--json", type=Path, help="write all figures, with examples of what is wrong, to this file")
    given = parser.parse_args()
    parts = {
        "English corpora": judge((text, "en") for text in read_corpora(given.data, ENGLISH)),
        "Chinese corpora": judge((text, "zh") for text in read_corpora(given.data, CHINESE)),
        "Chinese, the first 12 characters": judge((text[:12], "zh") for text in read_corpora(given.data, CHINESE)),
        "headlines in other languages": judge(read_headlines()),
        "the same, as their feeds state": judge(read_headlines(), stated=True),
        "tweets, by what their network states": judge(read_tweets(given.data / TWEETS, given.step)),
    }
    for name, found in parts.items():
        _show(name, found)
    if given.json:
        figures = {n: {g: {s: vars(o) for s, o in by.items()} for g, by in f.items()} for n, f in parts.items()}
        given.json.write_text(json.dumps(figures, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
