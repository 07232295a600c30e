"""Is one Chinese flash one story, as several feeds tell it, and are two flashes two?

    python -m benchmarks.languages.flashes --data DIR

Each flash is told by three feeds in their own styles (heading in brackets, title and dateline, plain with a credit),
and once more with a small change: a word for another, two characters less, a sentence more. Printed: how many of the
three are one story, how many changed ones are copies, and which of all pairs of different texts are taken for copies.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from uuid import UUID

from benchmarks.languages.__main__ import CHINESE, read_corpora
from core.text import headline_form, story_form
from stream.stories import StoryText, are_copies, story_text

_SAMPLE = 600
_SHOWN = 8
_WORDS = (
    ("表示", "称"), ("拟", "计划"), ("将", "将会"), ("公告", "公告称"), ("宣布", "表示"), ("进行", "开展"),
    ("目前", "当前"), ("预计", "预期"), ("此前", "之前"), ("以及", "和"), ("较", "相比"),
)  # fmt: skip

Told = tuple[str, str]  # title, text


def as_feeds_tell(flash: str) -> list[Told]:
    """Word for word, in the styles of three feeds."""
    head, _, rest = flash.partition("，")
    if len(head) < 12 or not rest:
        return [
            ("", f"财联社11月26日电，{flash}"),
            ("", f"{flash}（来源：证券时报）"),
            ("", f"快讯：{flash}（记者 李四）"),
        ]
    return [
        ("", f"【{head}】财联社11月26日电，{flash}"),
        (f"{head}_新浪财经", flash),
        (head, f"11月26日电（记者 李四）{rest}"),
    ]


def another_word(flash: str, chance: random.Random) -> str:
    for word, other in chance.sample(_WORDS, len(_WORDS)):
        if word in flash:
            return flash.replace(word, other, 1)
    return f"{flash}。"


def two_characters_less(flash: str, chance: random.Random) -> str:
    """Anywhere but in a figure or a Latin word."""
    places = [at for at in range(2, len(flash) - 4) if not re.search(r"[0-9A-Za-z.%]", flash[at - 1 : at + 3])]
    at = chance.choice(places) if places else len(flash)
    return flash[:at] + flash[at + 2 :]


def a_sentence_more(flash: str, chance: random.Random) -> str:
    return f"{flash.rstrip('。')}。{chance.choice(['市场关注后续进展', '公司股价随后波动', '详情请见公告全文'])}。"


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "another word": another_word,
    "two characters less": two_characters_less,
    "a sentence more": a_sentence_more,
}


def text_of(told: Told, number: int = 0) -> StoryText:
    title, text = told
    return story_text(story_form(text, title), (), UUID(int=number), headline_form(text, title))


def wrongly_folded(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of different texts that are copies, by the bands that they share."""
    made = [text_of(("", text), number) for number, text in enumerate(texts)]
    sharing: dict[int, list[int]] = defaultdict(list)
    for number, one in enumerate(made):
        for band in one.bands:
            sharing[band].append(number)
    pairs = {pair for numbers in sharing.values() for pair in combinations(numbers, 2)}
    return [
        (texts[a], texts[b]) for a, b in sorted(pairs) if made[a].form != made[b].form and are_copies(made[a], made[b])
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    texts = list(read_corpora(given.data, CHINESE))
    flashes = chance.sample([text for text in texts if len(text) >= 20], _SAMPLE)
    told = [[text_of(one) for one in as_feeds_tell(flash)] for flash in flashes]
    one_story = sum(are_copies(a, b) and are_copies(a, c) for a, b, c in told)
    print(f"{one_story / _SAMPLE:.1%} of {_SAMPLE} flashes are one story as three feeds tell them")
    for name, change in CHANGES.items():
        copies = sum(are_copies(text_of(("", flash)), text_of(("", change(flash, chance)))) for flash in flashes)
        print(f"{copies / _SAMPLE:.1%} are copies with {name}")
    wrong = wrongly_folded(texts)
    print(f"{len(wrong)} of {len(texts) * (len(texts) - 1) // 2} pairs of different texts are copies, among them:")
    for one, other in chance.sample(wrong, min(_SHOWN, len(wrong))):
        print(f"  {one[:70]}\n  {other[:70]}\n")


if __name__ == "__main__":
    main()
