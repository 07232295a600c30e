"""Writes single sentences of the demo feed from the templates in `phrases.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from random import Random
from typing import Any, Literal

Mood = Literal["negative", "neutral", "positive"]

_ARTICLE = re.compile(r"\b([Aa])(?= [aeio])")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Company:
    """A company of the feed; `weight` is how much is written about it, compared with the others."""

    ticker: str
    name: str
    weight: float = 1.0


class Writer:
    """Fills templates with words drawn from `random`, so a seed determines every text."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._phrases: dict[str, Any] = tomllib.loads(
            files("newstide.scenario").joinpath("phrases.toml").read_text(encoding="utf-8")
        )
        self._decks: dict[tuple[int, str], list[str]] = {}
        topics = self._phrases["topics"]
        self._topics = list(topics)
        self._topic_weights = [topics[topic]["weight"] for topic in topics]

    def choose_topic(self) -> str:
        """An everyday topic, drawn by its weight."""
        return self._random.choices(self._topics, self._topic_weights)[0]

    def is_about_company(self, topic: str) -> bool:
        return bool(self._phrases["topics"][topic]["about"] == "company")

    def write_topic(self, topic: str, mood: Mood, kind: str, company: Company | None) -> str:
        """One everyday headline or comment; neutral where the topic knows no such mood."""
        moods = self._phrases["topics"][topic]
        return self._dress(self._draw(moods[mood] or moods["neutral"], kind), kind, company)

    def write_story(self, story: str, mood: Mood, kind: str, company: Company) -> str:
        """One headline or comment on a long-running story of one company."""
        return self._dress(self._draw(self._phrases["stories"][story][mood], kind), kind, company)

    def write_detail(self, mood: Mood, company: Company | None) -> str:
        """The sentence after a headline."""
        return self._fill(self._random.choice(self._phrases["details"][mood]), company)

    def write_promotion(self, number: int) -> str:
        """The spam text of that number; write it once and repeat it."""
        promotions = self._phrases["spam"]["promotions"]
        return self._fill(promotions[number % len(promotions)], None)

    def write_url(self) -> str:
        return f"https://news.example/{self._random.randrange(36**6):x}"

    def _draw(self, templates: list[str], kind: str) -> str:
        """The next of the templates that suit `kind`, in an order that repeats none before all have been used."""
        deck = self._decks.setdefault((id(templates), kind), [])
        if not deck:
            suitable = [template for template in templates if kind == "comment" or not template.startswith("@")]
            deck += self._random.sample(suitable or templates, len(suitable or templates))
        return deck.pop().removeprefix("@")

    def _dress(self, template: str, kind: str, company: Company | None) -> str:
        if self._random.random() < 0.25:
            template = self._random.choice(self._phrases["openings"][kind]) + template
        if self._random.random() < 0.5:
            template += self._random.choice(self._phrases["endings"][kind])
        text = self._fill(template, company)
        if company is not None and company.ticker not in text and self._random.random() < 0.6:
            text = f"${company.ticker} - {text}" if self._random.random() < 0.5 else f"{text} ${company.ticker}"
        text = _ARTICLE.sub(r"\1n", text)
        return text[0].upper() + text[1:]

    def _fill(self, template: str, company: Company | None) -> str:
        text = template
        while "{" in text:  # a slot's words may hold slots themselves
            text = _SLOT.sub(lambda slot: self._word(slot.group(1), company), text)
        return text

    def _word(self, slot: str, company: Company | None) -> str:
        random = self._random
        if slot == "company":
            return company.name if company is not None else "the company"
        if slot == "cash":
            return f"${company.ticker}" if company is not None else "the stock"
        numbers = {
            "pct": lambda: str(random.randint(6, 48)),
            "small": lambda: f"{random.uniform(0.4, 7.9):.1f}",
            "points": lambda: f"{random.uniform(0.02, 1.9):.2f}",
            "eps": lambda: f"{random.uniform(0.1, 6):.2f}",
            "price": lambda: str(random.randint(11, 480)),
            "barrel": lambda: str(random.randint(61, 94)),
            "count": lambda: str(random.randint(2, 95)),
            "money": lambda: (
                f"{random.uniform(1.1, 9.9):.1f} {random.choice(['billion', 'bln', 'B'])}"
                if random.random() < 0.4
                else f"{random.randint(12, 940)} {random.choice(['million', 'mln', 'M'])}"
            ),
        }
        return numbers[slot]() if slot in numbers else str(random.choice(self._phrases["slots"][slot]))
