"""Which language a message is taken for: English never lightly for another one, and the same answer each time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from benchmarks.languages.__main__ import read_headlines
from core.bundle import Manifest, load_bundle, write_bundle
from core.errors import BundleError, RegistryError
from core.fitting import is_read
from core.language import language_code, language_of, languages_of
from core.offline import classify_lines
from core.settings import Settings, load_settings
from core.store.models import move_model, roll_back
from tests.tiny_bundles import register_tiny, write_tiny

STATEMENTS = ("", "en", "de", "zh", "ru", "tl", "xx")

ENGLISH = (
    "BYND - JPMorgan reels in expectations on Beyond Meat",
    "$CCL $RCL $NCLH cruise lines sink",
    "Peloton, Zoom, DocuSign: PTON ZM DOCU -12%",
    "ALIBABA (阿里巴巴) SHARES FALL IN HONG KONG",
    "Alibaba (阿里巴巴) shares fall after probe",
    "OMV Aktiengesellschaft reports Q4 results",
    "Banco Santander, BBVA and Caixabank shares gain",
    "L'Oréal Q3 sales beat estimates",
    "β of 1.2 and α near zero, says the fund's letter",
)
CHINESE = (
    "苹果公司 Apple 发布 iPhone 15 Pro Max",
    "A股三大指数集体收跌，创业板指跌2%",
    "腾讯Q3净利润+47%",
    "又站岗了，山顶风好大🥶",
)


@pytest.mark.parametrize("text", ENGLISH)
def test_english_is_read_however_foreign_its_names_are(text: str) -> None:
    assert is_read(language_of(text), {"en"})
    assert is_read(language_of(text, "en"), {"en"})


@pytest.mark.parametrize("text", CHINESE)
@pytest.mark.parametrize("stated", ["", "en", "zh"])
def test_a_script_tells_its_language_whatever_a_feed_states(text: str, stated: str) -> None:
    assert language_of(text, stated) == "zh"


def test_a_statement_counts_where_the_text_does_not_tell() -> None:
    assert language_of("DAX +2%") == ""
    assert language_of("DAX +2%", "de") == "de"
    assert language_of("決算発表", "ja") == "ja"
    assert language_of("Shares of the bank fell sharply after the earnings report was published", "de") == "en"
    assert language_of("Shares of the bank fell sharply after the earnings report was published", "zh") == "en"
    assert language_of("Die Aktien der Bank sind nach dem Bericht deutlich gefallen", "en") == "de"


def test_statements_are_codes() -> None:
    stated = ["zh-CN", "pt_BR", " EN ", "und", "in", "nb-NO", "English", ""]
    assert [language_code(each) for each in stated] == ["zh", "pt", "en", "", "id", "no", "", ""]


def test_most_headlines_of_other_languages_are_told_from_english() -> None:
    unread = [not is_read(language_of(text), {"en"}) for text, _ in read_headlines()]
    assert sum(unread) > 0.7 * len(unread)
    assert all(not is_read(language_of(text, language), {"en"}) for text, language in read_headlines())


@given(st.text(max_size=80) | st.sampled_from(ENGLISH + CHINESE), st.sampled_from(STATEMENTS))
def test_an_answer_is_a_code_and_asking_again_with_it_changes_nothing(text: str, stated: str) -> None:
    """Ingest and worker ask one after the other, and must agree."""
    answer = language_of(text, stated)
    assert len(answer) in (0, 2)
    assert language_of(text, language_of(text)) == language_of(text)


def test_a_bundle_names_its_languages_and_an_older_one_reads_english(tmp_path: Path) -> None:
    bundle = write_tiny(tmp_path / "tiny", "tiny", 1)
    content = (tmp_path / "tiny" / "manifest.json").read_bytes()
    older = msgspec.json.decode(content)
    assert older.pop("languages") == ["en"]
    (tmp_path / "tiny" / "manifest.json").write_bytes(msgspec.json.encode(older))
    assert load_bundle(tmp_path / "tiny").manifest == bundle.manifest
    for wrong in ([], ["English"], ["en", ""]):
        manifest: Manifest = msgspec.structs.replace(bundle.manifest, languages=wrong)
        with pytest.raises(BundleError, match="languages"):
            write_bundle(tmp_path / "wrong", manifest, bundle.model, bundle.tokenizer, "")


def test_a_file_of_texts_in_several_languages_keeps_its_order(tmp_path: Path) -> None:
    """What is not read gets no label, and changes none of the others."""
    from core.classifier import Classifier

    classifier = Classifier(write_tiny(tmp_path / "tiny", "tiny", 1))
    lines = [(number, text) for pair in zip(ENGLISH, CHINESE * 3, strict=False) for number, text in enumerate(pair)]
    answers = list(classify_lines(classifier, lines, explained=True))
    alone = {text: next(classify_lines(classifier, [(0, text)])) for _, text in lines}
    for (number, text), answer in zip(lines, answers, strict=True):
        assert answer["id"] == number
        assert answer["sentiment"] == alone[text]["sentiment"]
        if text in CHINESE:
            assert answer["sentiment"] == answer["topic"] == {"label": None, "scores": None}
            assert (answer["language"], answer["explanation"]) == ("zh", {})
        else:
            assert "language" not in answer
            assert answer["sentiment"]["label"] is not None


def test_languages_of_texts_are_those_of_a_share_of_them() -> None:
    english = ["Shares of the bank fell sharply after the earnings report was published"]
    assert languages_of([*CHINESE, *english * 2]) == ["zh", "en"]
    assert languages_of(english * 30 + [CHINESE[0]]) == ["en"]
    assert languages_of(["DAX +2%"]) == ["en"]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return load_settings(database={"url": database_url}, embedded={"directory": tmp_path / "embedded"})


def test_a_model_that_would_leave_messages_unread_does_not_go_live(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    for name, languages in (("english", ("en",)), ("chinese", ("zh",)), ("both", ("zh", "en"))):
        write_tiny(tmp_path / name, name, 1, languages=languages)
        register_tiny(settings, engine, tmp_path / name)
    move_model(engine, "english", "live", actor="test", reason="test")
    with pytest.raises(RegistryError, match="does not read en, as the live model english does"):
        move_model(engine, "chinese", "live", actor="test", reason="test")
    assert move_model(engine, "both", "live", actor="test", reason="test").displaced == "english"
    with pytest.raises(RegistryError, match="does not read zh"):
        move_model(engine, "english", "live", actor="test", reason="test")
    assert roll_back(engine, actor="test", reason="test").model == "english"
