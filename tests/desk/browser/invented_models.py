"""Two models as promotion leaves them, the shipped one live and a copy of it that waits; and labels of two analysts,
which judge the live one too."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import Engine, text

from core.bundle import MANIFEST, load_bundle, write_bundle
from core.label_lines import Subject
from core.settings import DeskSettings
from core.store.models import move_model, record_verdict, register_model
from core.story_shares import is_for_evaluation
from desk.labelling.steps import save

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "default"
CANDIDATE = "newstide-candidate"
_LABELLED = 24
JUDGED = 90
# Of the latest 300 messages every tenth is said otherwise by the shadow.
_WATCHED = """
INSERT INTO shadow_message (shadow, uid, live, published_at, live_labels, shadow_labels, confidence)
SELECT :shadow, uid, :live, published_at, jsonb_build_object('sentiment', sentiment),
       jsonb_build_object('sentiment', CASE WHEN number % 10 > 0 THEN sentiment
                                            WHEN sentiment = 'neutral' THEN 'positive' ELSE 'neutral' END), 0.7
FROM (SELECT *, row_number() OVER (ORDER BY published_at DESC, uid) AS number FROM message) AS latest
WHERE number <= 300
"""


def add_models(engine: Engine, folder: Path) -> None:
    """Register the shipped bundle, which goes live, and a copy under another name, which every gate passed."""
    shipped = load_bundle(SHIPPED)
    manifest = msgspec.structs.replace(shipped.manifest, name=CANDIDATE)
    copy = write_bundle(folder / CANDIDATE, manifest, shipped.model, shipped.tokenizer, "a copy")
    for bundle in (shipped, copy):
        assert bundle.path is not None
        register_model(
            engine,
            bundle.manifest,
            location=str(bundle.path),
            checksum=hashlib.sha256((bundle.path / MANIFEST).read_bytes()).hexdigest(),
            size_bytes=len(bundle.model) + len(bundle.tokenizer),
            actor="ann",
            reason="trained on the labels of October",
        )
    move_model(engine, shipped.name, "live", actor="ann", reason="the first one")
    gates = [
        {"name": "size", "passed": True, "summary": "11.2 MB, at most 15 MB", "forcible": True, "figures": {}},
        {"name": "improvement", "passed": True, "summary": "macro F1 +0.012", "forcible": True, "figures": {}},
    ]  # fmt: skip
    evidence = {"gates": gates, "forced": False, "against": shipped.name}
    record_verdict(engine, CANDIDATE, actor="ann", reason="judged", evidence=evidence)
    move_model(engine, CANDIDATE, "shadow", actor="ann", reason="to be watched on live traffic")
    with engine.begin() as connection:
        connection.execute(text(_WATCHED), {"shadow": CANDIDATE, "live": shipped.name})


def add_labels(engine: Engine) -> None:
    """What two analysts said of the same old stories and of a company in each: they are split on every sixth story, and
    on every fourth company."""
    with engine.begin() as connection:
        found = connection.execute(
            text("SELECT story, sentiment, entities[1] AS company FROM message ORDER BY published_at, uid LIMIT 200"),
        ).all()
        stories = list({row.story: row for row in found}.values())[:_LABELLED]
        for number, (story, sentiment, company) in enumerate(stories):
            other = _other(sentiment)
            for analyst, first, split in (("dana", 1000, False), ("emil", 2000, True)):
                words = {Subject("sentiment"): other if split and number % 6 == 0 else sentiment}
                if company:
                    words[Subject("sentiment", company)] = other if split and number % 4 == 0 else sentiment
                save(connection, analyst, UUID(int=first + number), {story: words})


def _other(sentiment: str) -> str:
    return "neutral" if sentiment != "neutral" else "negative"


def add_judgements(engine: Engine) -> None:
    """What the same two say, alike, of old stories of the evaluation share and of a company in each: of every third
    story something else than the model, of every ninth company."""
    share = DeskSettings().evaluation_share
    with engine.begin() as connection:
        found = connection.execute(
            text("SELECT story, sentiment, entities[1] AS company, entity_sentiments[1] AS said FROM message "
                 "WHERE entities <> '{}' ORDER BY published_at, uid OFFSET 200")
        )  # fmt: skip
        stories = list({row.story: row for row in found if is_for_evaluation(row.story, share)}.values())[:JUDGED]
        for number, (story, sentiment, company, said) in enumerate(stories):
            words = {
                Subject("sentiment"): _other(sentiment) if number % 3 == 0 else sentiment,
                Subject("sentiment", company): _other(said) if number % 9 == 0 else said,
            }
            for analyst, first in (("dana", 3000), ("emil", 4000)):
                save(connection, analyst, UUID(int=first + number), {story: words})
