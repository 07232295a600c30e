"""Stories, their words, and finding messages."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, text

from desk.store import search as search_module
from tests.desk.newsroom import BANK, FIRST, PRESENT, SPECIAL, get

SPAN = {"from": FIRST.isoformat(), "to": PRESENT.isoformat()}


def pages(browser: TestClient, address: str, **parameters: Any) -> list[dict[str, Any]]:
    """The items of all pages."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = get(browser, address, **parameters, **({"cursor": cursor} if cursor else {}))
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


@pytest.mark.parametrize("sentiment", [None, "negative"])
def test_pages_of_stories_are_all_of_them_once(ann: TestClient, rows: Connection, sentiment: str | None) -> None:
    chosen = {"sentiment": sentiment} if sentiment else {}
    found = pages(ann, "/stories", series=f"entity={BANK}", limit=37, **chosen, **SPAN)
    stored = rows.execute(
        text(
            "SELECT story FROM story_series WHERE kind = 'entity' AND name = :bank "
            "AND (CAST(:sentiment AS text) IS NULL OR sentiment = :sentiment) ORDER BY first_at DESC, story DESC"
        ),
        {"bank": BANK, "sentiment": sentiment},
    )
    assert [item["id"] for item in found] == [str(row.story) for row in stored]


def test_a_story_is_one_item_with_all_its_copies(ann: TestClient, rows: Connection) -> None:
    story = rows.execute(text("SELECT id, messages FROM story ORDER BY messages DESC, id LIMIT 1")).one()
    detail = get(ann, f"/stories/{story.id}")
    assert detail["story"]["copies"] == story.messages == len(detail["items"])
    stored = rows.execute(
        text("SELECT uid FROM message WHERE story = :id ORDER BY published_at, uid"), {"id": story.id}
    )
    assert [message["uid"] for message in detail["items"]] == [str(row.uid) for row in stored]
    assert [m["uid"] for m in pages(ann, f"/stories/{story.id}", limit=1)] == [m["uid"] for m in detail["items"]]
    assert detail["story"]["headline"] == detail["items"][0]["title"]
    get(ann, f"/stories/{UUID(int=5)}", status=404)


def test_stories_of_a_source_were_published_by_it(ann: TestClient, rows: Connection) -> None:
    found = pages(ann, "/stories", source="S&P Global", limit=200, **SPAN)
    stored = rows.execute(text("SELECT count(*) FROM story_series WHERE kind = 'source' AND name = 's&p-global'"))
    assert len(found) == stored.scalar_one()
    assert all("S&P Global" in item["sources"] for item in found)


def test_terms_are_counted_in_headlines(ann: TestClient, rows: Connection) -> None:
    terms = get(ann, "/terms", series=f"entity={BANK}")
    assert terms["stories"] == len(pages(ann, "/stories", series=f"entity={BANK}", limit=200))
    headlines = rows.execute(
        text(
            "SELECT headline FROM story JOIN story_series AS series ON series.story = story.id WHERE kind = 'entity' "
            "AND name = :bank AND series.first_at >= CAST(:until AS timestamptz) - interval '1 day'"
        ),
        {"bank": BANK, "until": PRESENT},
    ).all()
    for term in terms["items"]:
        assert term["stories"] == sum(term["word"] in row.headline.split() for row in headlines)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("layoff", [2]),  # another form of the word
        ("LAYOFFS northmere", [2]),
        ("layoffs -northmere", []),
        ('"follow weak earnings"', [2]),
        ('"weak follow"', []),
        ("美联储", [0]),
        ("联储按兵", [0]),
        ("储", [0]),
        ("期", [0]),  # the last character of a run
        ("美国", []),
        ("联美", []),
        ("市场 按兵不动", [0]),
        ("中国银行 layoffs", []),
        ("script alert", [1]),
    ],
)
def test_words_are_found_in_any_script(ann: TestClient, q: str, found: list[int]) -> None:
    stories = [str(uuid5(UUID(int=1), SPECIAL[number][0])) for number in found]
    assert [item["story"] for item in get(ann, "/search", q=q)["items"]] == stories


@pytest.mark.parametrize(
    ("parameters", "condition"),
    [
        ({"q": "dividend"}, "title ~ 'dividend' OR text ~ 'dividend'"),
        ({"series": f"entity={BANK}"}, f"'{BANK}' = ANY(entities)"),
        ({"series": "topic=M&A | Investments", "sentiment": "positive"},
         "topic = 'M&A | Investments' AND sentiment = 'positive'"),
        ({"source": "S&P Global", "q": "oil"}, "source = 's&p-global' AND (title ~ 'oil' OR text ~ 'oil')"),
        ({"from": "2026-06-01T00:00:00Z", "to": "2026-06-04T00:00:00Z"},
         "published_at >= '2026-06-01T00:00Z' AND published_at < '2026-06-04T00:00Z'"),
    ],
)  # fmt: skip
def test_pages_of_a_search_are_all_that_is_there(
    ann: TestClient, rows: Connection, parameters: dict[str, str], condition: str
) -> None:
    found = pages(ann, "/search", limit=90, **parameters)
    stored = rows.execute(text(f"SELECT uid FROM message WHERE {condition} ORDER BY published_at DESC, uid DESC"))
    assert [item["uid"] for item in found] == [str(row.uid) for row in stored]
    assert found


def test_a_search_that_takes_long_comes_a_part_at_a_time(
    ann: TestClient, rows: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(search_module, "_WIDER", 1.0)  # spans stay short
    first = get(ann, "/search", q="growth", limit=200, **SPAN)
    assert first["next"] is not None
    found = pages(ann, "/search", q="growth", limit=200, **SPAN)
    stored = rows.execute(text("SELECT count(*) FROM message WHERE title ~ 'growth' OR text ~ 'growth'"))
    assert len(found) == len({item["uid"] for item in found}) == stored.scalar_one()


def test_hostile_text_is_handed_on_as_text(ann: TestClient) -> None:
    (item,) = get(ann, "/search", q="alert")["items"]
    assert item["title"] == "<script>alert(1)</script>"
    answer = ann.get("/api/v1/search", params={"q": "alert"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["it's", "a\\b", "x' | 'y", "' & 'entity=AAPL"])
def test_a_name_is_never_read_as_a_query(ann: TestClient, name: str) -> None:
    assert get(ann, "/search", series=f"entity={name}")["items"] == []
