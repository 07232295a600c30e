from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.text import headline_form, story_form
from stream.stories import StoryText, are_copies, facts, signature, similarities, story_text

STORY = "Northmere Bancorp shares tumble after regulators open a probe into its commercial property loans, sources say"
UID = UUID(int=7)


def text_of(text: str, entities: tuple[str, ...] = (), uid: UUID = UID) -> StoryText:
    return story_text(story_form(text), entities, uid)


def similarity(one: str, other: str) -> float:
    return float(similarities(signature(one.split()).tobytes(), [signature(other.split()).tobytes()])[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (STORY, STORY.upper() + "!"),
        (STORY, "Update: " + STORY),
        ("Acme shares fall", "ACME shares fall https://example.org/a"),
        (
            "北岭银行股价重挫，监管部门已就其商业地产贷款展开调查，知情人士称调查或持续数月",
            "北岭银行股价重挫，监管部门已就其商业地产贷款展开调查，知情人士表示调查或持续数月",
        ),
    ],
)
def test_copies_and_edited_copies(one: str, other: str) -> None:
    assert are_copies(text_of(one), text_of(other))
    assert are_copies(text_of(other), text_of(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (STORY + " 120 million", STORY + " 130 million"),
        (STORY + " $NMRB", STORY + " $LUMO"),
        (STORY, "Lumora Robotics jumps on its first day of trading as investors scramble for shares in the offering"),
        ("Acme shares fall", "Acme shares rise"),
        (
            "北岭银行股价大涨，监管部门已就其商业地产贷款结束调查，知情人士称或持续数月",
            "北岭银行股价大跌，监管部门已就其商业地产贷款结束调查，知情人士称或持续数月",
        ),
        ("北岭银行拟回购公司股份不超过25万股并注销", "北岭银行拟回购公司股份不超过35万股并注销"),
        ("北岭银行今日发布公告", "南岭银行今日发布公告"),
    ],
)
def test_figures_tickers_and_other_words_make_another_story(one: str, other: str) -> None:
    assert not are_copies(text_of(one), text_of(other))


HEADING = "北岭银行股价重挫，监管部门已就其贷款展开调查"
TOLD = (
    ("", f"【{HEADING}】财联社11月26日电，{HEADING}，知情人士称或持续数月。"),
    (f"{HEADING}_新浪财经", "据知情人士，该行商业地产贷款的调查或持续数月，股价盘中跌逾一成。"),
    (HEADING, ""),
    ("快讯：" + HEADING, "（记者 李三）该行未予置评。"),
)


def flash_of(title: str, text: str, uid: int = 7) -> StoryText:
    return story_text(story_form(text, title), (), UUID(int=uid), headline_form(text, title))


@pytest.mark.parametrize("one", TOLD)
@pytest.mark.parametrize("other", TOLD)
def test_a_flash_under_one_headline_is_one_story(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert are_copies(flash_of(*one), flash_of(*other))
    assert not are_copies(flash_of(*one), flash_of("南岭银行股价大涨，监管部门已就其贷款结束调查", other[1]))


def test_a_short_or_latin_headline_makes_no_copies() -> None:
    assert not are_copies(
        flash_of("收盘播报", HEADING), flash_of("收盘播报", "沪指收报三千一百点，成交额不足一万亿元，两市个股跌多涨少")
    )
    english = ("Northmere Bancorp shares tumble", "Regulators open a probe into its property loans, sources say")
    assert not are_copies(
        flash_of(*english), flash_of(english[0], "The lender said it will cooperate with the authorities")
    )


@pytest.mark.parametrize(
    "changed",
    [
        "快讯：北岭银行股价重挫，监管部门已就其商业地产贷款展开调查，知情人士称调查或持续数月（记者 李四）",
        "北岭银行股价重挫 监管部门就其商业地产贷款展开调查 消息人士称调查或持续数月（完）",
        "北岭银行股价重挫，监管部门已就其商业地产贷款展开调查，知情人士称或持续数月，市场关注后续进展。",
    ],
)
def test_a_flash_with_small_changes_is_a_copy(changed: str) -> None:
    flash = "北岭银行股价重挫，监管部门已就其商业地产贷款展开调查，知情人士称调查或持续数月"
    assert are_copies(text_of(flash), text_of(changed))


def test_another_company_makes_another_story() -> None:
    text = "beats estimates on strong guidance and raises its dividend for the tenth year running"
    assert not are_copies(text_of("Apple " + text, ("AAPL",)), text_of("Oracle " + text, ("ORCL",)))


def test_equal_texts_are_copies_whatever_companies_were_given() -> None:
    assert are_copies(text_of(STORY, ("NMRB",)), text_of(STORY))


def test_a_text_with_nothing_left_is_like_no_other() -> None:
    one, other = text_of("https://example.org/a", uid=UUID(int=1)), text_of("\N{ROCKET} !!!", uid=UUID(int=2))
    assert not are_copies(one, other)
    assert one.bands == other.bands == ()


def test_short_texts_have_exact_copies_only() -> None:
    short = text_of("Acme shares fall")
    assert (len(short.bands), short.signature) == (1, b"")
    assert len(text_of(STORY).bands) == 5


VOCABULARY = ("shares", "fall", "on", "weak", "sales", "as", "bank", "warns", "of", "loss", "in", "third", "quarter")
words = st.lists(st.sampled_from(VOCABULARY), min_size=1)


@given(words)
def test_similarity_is_one_with_oneself(chosen: list[str]) -> None:
    assert similarity(" ".join(chosen), " ".join(chosen)) == 1.0


@given(words, words)
def test_similarity_estimates_the_jaccard_index(one: list[str], other: list[str]) -> None:
    def bigrams(chosen: list[str]) -> set[tuple[str, str]]:
        return set(zip(["", *chosen], [*chosen, ""], strict=True))

    a, b = bigrams(one), bigrams(other)
    true = len(a & b) / len(a | b)
    measured = similarity(" ".join(one), " ".join(other))
    assert abs(measured - true) < 0.35  # 64 hashes: five standard errors and more


@given(st.text(), st.lists(st.text(max_size=5), max_size=3))
def test_any_text_has_its_story_text(raw: str, entities: list[str]) -> None:
    one = text_of(raw, tuple(entities))
    assert one == text_of(raw, tuple(entities))
    assert are_copies(one, one)


def test_facts_are_figures_cashtags_and_companies() -> None:
    assert facts(["acme", "$acme", "cuts", "2000", "jobs"], ["ACME"]) == "$acme 2000 ACME"
