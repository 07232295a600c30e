"""Themes nobody has a label for: three of them, told in many ways, among unrelated news."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from sqlalchemy import Engine

from core.bundle import Bundle
from core.classifier import Classifier
from core.records import Message
from core.settings import DatabaseSettings, Settings
from core.store.samples import Sampled, count_stories, read_unsure
from newstide.commands.discover import discover_themes
from tests.trainer.watched import SENTIMENTS, START, TOPICS, store_messages, word_bundle
from trainer.watch.discover import cluster, describe, discover, embed_all
from trainer.watch.terms import class_terms

CANAL = """
Container ships queue at the Suez canal as drought rules bite
Carriers avoid the canal, container freight rates climb again
Canal transit slots sell for record sums, say ship brokers
Freight rates double while container ships sail around the Cape
Maersk reroutes container ships away from the canal
Suez canal tolls rise for container ships from January
Shipping delays at the canal push freight rates to a two-year high
Hapag-Lloyd adds a surcharge on canal freight
Empty container ships wait outside the canal for a transit slot
Insurers lift premiums for ships in canal transit
Retailers warn that canal delays and freight rates squeeze margins
Tanker owners join container carriers in leaving the canal
Freight futures jump after the canal authority cuts transit slots
Grain ships turn back from the canal as transit delays lengthen
"""
COCOA = """
Cocoa futures hit a record as the Ghana harvest fails
Chocolate makers raise prices again on cocoa shortage
Black pod disease spreads through cocoa farms in Ivory Coast
Hershey hedges cocoa for two harvests, trims chocolate outlook
Ghana cuts its cocoa harvest forecast for a third time
Cocoa grinders in Europe process least beans since 2014
Lindt says cocoa beans cost it twice as much
Heavy rain delays the cocoa harvest, beans rot on farms
Ivory Coast halts cocoa export contracts on poor harvest
Mondelez shrinks chocolate bars as cocoa beans soar
Cocoa traders face margin calls while beans stay scarce
Barry Callebaut warns on chocolate volumes, blames cocoa
Smuggled cocoa beans drain Ghana's harvest, board says
Chocolate demand cools as cocoa passes ten thousand dollars a tonne
"""
GRIDS = """
Data centres for AI will double power demand, grid operator warns
Utilities rush to add gas turbines for AI data centres
Virginia grid delays hookups of new data centres
Nuclear restart planned to power AI data centres
Transformers are sold out as data centres strain the grid
Amazon buys a campus next to a reactor for data centres
Power prices in PJM auction soar on data centres demand
Ireland limits data centres to protect its power grid
Utility shares rally on power demand from AI data centres
Microsoft signs a twenty year power deal for AI data centres
Texas grid sees a power shortfall if AI data centres keep coming
Regulators ask who pays for grid lines to data centres
Cooling of AI data centres lifts water and power use
Solar developers pitch batteries to data centres short of grid power
"""
NOISE = """
Quarterly revenue at Brightwater Hotels rose four percent
Peso slips after rate decision in Mexico City
Pension fund sells its stake in a Spanish toll road
Toymaker names a former airline executive to its board
Regional bank settles overdraft case with customers
Lithium miner postpones expansion in Chile
Streaming service ends password sharing in Brazil
Vaccine trial misses its main goal, stock halves
Copper inventories in Shanghai fall for a sixth week
Tractor sales slump as farm incomes shrink
Luxury group sees weaker handbag sales in Seoul
Airline pilots vote on a strike over rosters
Wheat slides on Russian export surge
Treasury auction draws strong bids from abroad
"""
THEMES = [text.strip().splitlines() for text in (CANAL, COCOA, GRIDS)]
NEWS = NOISE.strip().splitlines()
CHINESE = ["央行维持利率不变，市场反应平淡", "新能源汽车销量创下历史新高", "铜价连续第六周下跌，库存减少"]
TEXTS = [*THEMES[0], *THEMES[1], *THEMES[2], *NEWS]
TRUTH = np.repeat([0, 1, 2, -1], [len(theme) for theme in THEMES] + [len(NEWS)])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return word_bundle(tmp_path_factory.mktemp("discover") / "words", TEXTS, sure=0.2, width=256)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database=DatabaseSettings(url=database_url), embedded={"directory": tmp_path})


def sampled(texts: list[str]) -> list[Sampled]:
    return [
        Sampled(
            Message(
                id=str(number),
                source="wire",
                kind="news",
                published_at=START + timedelta(minutes=number),
                received_at=START,
                text=text,
            ),
            TOPICS[number % 2],
            {},
        )
        for number, text in enumerate(texts)
    ]


def purity(groups: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Share of clustered texts that belong to the commonest theme of their cluster."""
    right = sum(Counter(truth[groups == number]).most_common(1)[0][1] for number in set(groups) - {-1})
    return right / max(int((groups >= 0).sum()), 1)


def test_clusters_are_the_themes(bundle: Bundle) -> None:
    vectors = embed_all(Classifier(bundle), TEXTS)
    groups = cluster(vectors, 6)
    assert len(set(groups) - {-1}) == 3
    assert purity(groups, TRUTH) > 0.9
    assert np.mean(groups[TRUTH >= 0] >= 0) > 0.6
    assert np.array_equal(groups, cluster(vectors, 6))


def test_terms_are_what_sets_a_theme_apart() -> None:
    terms = class_terms(TEXTS, TRUTH, limit=6)
    assert {"canal", "freight rates"} <= set(terms[0])
    assert "cocoa" in terms[1]
    assert {"data centres", "power"} <= set(terms[2])
    for words in terms.values():
        assert len(words) <= 6
        assert not {"the", "as", "for", "data", "centres"} & set(words)
    # By hand: 6 terms in 2 groups, A = 3; 2 log(1 + 3 / 2) for oil, 2 log(1 + 3 / 3) for gas.
    assert class_terms(["oil and gas", "oil and gas", "gas or tea"], np.array([0, 0, 1]))[0] == ["oil", "gas"]
    # A pair stands for its words.
    assert class_terms(["oil gas", "oil gas", "gas tea"], np.array([0, 0, 1]))[0] == ["oil gas"]
    assert class_terms(["oil", "oil, gas", "and gas"], np.array([0, 0, 1]))[0] == ["oil"]
    assert class_terms(["the and", "123 45"], np.array([0, 1])) == {0: [], 1: []}


def test_a_text_that_repeats_itself_names_no_theme() -> None:
    terms = class_terms(["buy pump " * 400, "rates rise today", "rates fall today"], np.array([0, 0, 0]))
    assert "rates" in terms[0]
    assert not {"pump", "buy", "buy pump"} & set(terms[0])


def test_what_grows_comes_first() -> None:
    order = [*THEMES[0], *NEWS, *THEMES[1]]  # the second theme is told in the recent half only
    groups = np.repeat([0, -1, 1], [len(THEMES[0]), len(NEWS), len(THEMES[1])])
    themes = describe(sampled(order), np.eye(len(order), dtype=np.float32), groups)
    assert ["cocoa" in theme.terms for theme in themes] == [True, False]
    assert (themes[0].earlier, themes[0].recent) == (0, 14)
    assert themes[0].growth == pytest.approx(14.5 / 0.5)
    assert (themes[1].earlier, themes[1].recent) == (14, 0)
    assert themes[0].labels == {"Earnings": 7, "Energy": 7}
    assert len(themes[0].examples) == 3
    assert themes[0].first_at == START + timedelta(minutes=28)


@pytest.mark.parametrize("count", range(14))
def test_little_makes_no_theme_and_no_fault(bundle: Bundle, count: int) -> None:
    vectors = embed_all(Classifier(bundle), TEXTS[:count])
    groups = cluster(vectors, 5)
    assert len(groups) == count
    if count < 10:
        assert set(groups) <= {-1}
    describe(sampled(TEXTS[:count]), vectors, groups)


def test_vectors_without_any_difference() -> None:
    for vectors in (np.ones((50, 8)), np.zeros((50, 8)), np.ones((50, 1))):
        assert set(cluster(vectors.astype(np.float32), 5)) == {-1}
    with pytest.raises(ValueError, match="2 or more"):
        cluster(np.ones((50, 8), dtype=np.float32), 1)


def store_unsure(settings: Settings, texts: list[str], first: int = 0, top: float = 0.4, language: str = "") -> None:
    """Store `texts` with a topic of probability `top`."""
    topic = np.full((len(texts), len(TOPICS)), (1 - top) / (len(TOPICS) - 1), dtype=np.float32)
    topic[:, 1] = top
    sentiment = np.full((len(texts), len(SENTIMENTS)), 1 / 3, dtype=np.float32)
    store_messages(settings, texts, {"sentiment": sentiment, "topic": topic}, "words", first=first, language=language)


def test_only_unsure_stories_are_taken_each_once(settings: Settings, engine: Engine) -> None:
    store_unsure(settings, TEXTS[:10])
    store_unsure(settings, TEXTS[10:20], first=10, top=0.95)
    store_unsure(settings, [TEXTS[3]] * 25, first=20)  # copies of a story
    store_unsure(settings, TEXTS[20:22], first=60, top=0.62)  # sure by itself and by its lead
    assert count_stories(engine, ["en"], None) == 22

    def texts(**change: object) -> list[str]:
        parameters = {"languages": ["en"], "since": None, "limit": 100, "confidence": 0.6, "margin": 0.2} | change
        return [entry.message.text for entry in read_unsure(engine, **parameters)]  # type: ignore[arg-type]

    assert texts() == TEXTS[:10][::-1]
    assert texts(limit=4) == TEXTS[6:10][::-1]
    assert texts(since=START + timedelta(minutes=7, seconds=30), confidence=0.0, margin=0.3)[-2:] == TEXTS[8:10][::-1]
    assert len(texts(confidence=0.0, margin=0.0)) == 0
    assert sorted(texts(confidence=0.7)) == sorted([*TEXTS[:10], *TEXTS[20:22]])
    assert texts(since=START + timedelta(days=900)) == []


def test_a_model_is_shown_stories_that_it_reads(settings: Settings, engine: Engine) -> None:
    store_unsure(settings, TEXTS[:6])
    store_unsure(settings, CHINESE, first=20, language="zh")
    for languages, expected in ((["en"], TEXTS[:6]), (["zh"], CHINESE), (["zh", "en"], [*TEXTS[:6], *CHINESE])):
        found = read_unsure(engine, languages, None, 100, 0.6, 0.2)
        assert [entry.message.text for entry in found] == expected[::-1]
        assert count_stories(engine, languages, None) == len(expected)


def test_the_themes_of_a_store(
    settings: Settings, engine: Engine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Noise first, then the themes; what the model is sure of is no matter for discovery.
    store_unsure(settings, [*NEWS, *THEMES[0][:7], *THEMES[2]])
    store_unsure(settings, [*THEMES[0][7:], *THEMES[1]], first=100)
    store_unsure(settings, [f"Profit of firm number{n} beats" for n in range(20)], first=200, top=0.99)
    found = discover(engine, Classifier(bundle), min_size=6)
    assert (found.unsure, len(found.themes)) == (56, 3)
    assert found.stories >= 57
    assert found.outside == 56 - sum(theme.stories for theme in found.themes)
    assert "cocoa" in found.themes[0].terms
    assert found.themes[0].growth > 1
    assert {example for theme in found.themes for example in theme.examples} <= set(TEXTS)
    assert found == discover(engine, Classifier(bundle), min_size=6)

    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", settings.database.url or "")
    arguments = ["--bundle", str(bundle.path), "--min-size", "6"]
    shown = CliRunner().invoke(discover_themes, [*arguments, "--json"], catch_exceptions=False)
    answer = json.loads(shown.stdout)
    assert [theme["stories"] for theme in answer["themes"]] == [theme.stories for theme in found.themes]
    assert answer["themes"][0]["labels"] == {"Energy": found.themes[0].stories}
    table = CliRunner().invoke(discover_themes, arguments, catch_exceptions=False).stdout
    for theme in found.themes:
        assert theme.terms[0] in table
    late = [*arguments, "--since", "2030-01-01"]
    assert "no theme found" in CliRunner().invoke(discover_themes, late, catch_exceptions=False).stdout
