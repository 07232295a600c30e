"""Which language a message is taken for: English never lightly for another one, and the same answer each time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from benchmarks.languages.__main__ import read_headlines
from core.bundle import Manifest, load_bundle, write_bundle
from core.classifier import Classifier
from core.errors import BundleError, RegistryError
from core.fitting import in_order, is_read, reader_of
from core.language import language_code, language_of, languages_of
from core.offline import classify_lines
from core.serving import configured_models, served_models
from core.settings import Settings, StreamSettings, load_settings
from core.store.models import State, StateChange, list_models, move_model, rivals, roll_back
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
    three = ["eng", "ENG-us", "deu", "ger", "fra", "fre", "spa", "por", "zho", "chi", "nob", "ind", "yue", "und", "haw"]
    two = ["en", "en", "de", "de", "fr", "fr", "es", "pt", "zh", "zh", "no", "id", "zh", "", "haw"]
    assert [language_code(each) for each in three] == two


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
    answers = list(classify_lines([classifier], lines, explained=True))
    alone = {text: next(classify_lines([classifier], [(0, text)])) for _, text in lines}
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


def test_models_of_several_languages_are_live_side_by_side(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    made = {"english": ("en",), "other": ("en",), "chinese": ("zh",), "both": ("en", "zh"), "german": ("de", "zh")}
    for name, languages in made.items():
        write_tiny(tmp_path / name, name, 1, languages=languages)
        register_tiny(settings, engine, tmp_path / name)

    def go(name: str, state: State = "live", against: str | None = None) -> str | None:
        return move_model(engine, name, state, actor="test", reason="test", judged_against=against).displaced

    def back(language: str | None = None) -> StateChange:
        return roll_back(engine, actor="test", reason="test", language=language)

    def live() -> list[str]:
        return [row.name for row in list_models(engine, "live")]

    assert [go("english"), go("chinese"), live()] == [None, None, ["english", "chinese"]]
    assert go("other", "shadow") is None
    assert go("both", "shadow") == "other", "a shadow for each language"
    with pytest.raises(RegistryError, match="was judged against chinese, but english is live now"):
        go("other", against="chinese")
    assert go("other", against="english") == "english"
    assert go("both", against="other, chinese") == "other, chinese"
    with pytest.raises(RegistryError, match="does not read zh, as the live model both does"):
        go("english")
    assert live() == ["both"]
    assert back() == StateChange("chinese", "live", "both", ("other",))
    with pytest.raises(RegistryError, match="say which language"):
        back()
    assert back("en") == StateChange("english", "live", "other")
    assert go("german") == "chinese", "it reads Chinese too"
    assert [row.name for row in rivals(("zh", "fr"), list_models(engine, "live"))] == ["german"]
    assert back("zh") == StateChange("chinese", "live", "german"), "nothing read German before"
    assert back("zh") == StateChange("chinese", "retired"), "nor Chinese, but for models that were rolled back"
    with pytest.raises(RegistryError, match="no live model reads zh"):
        back("zh")
    with pytest.raises(RegistryError, match="no model was live before"):
        back("en")
    with pytest.raises(IntegrityError, match="model_one_live"), engine.begin() as connection:
        connection.exec_driver_sql("UPDATE model SET state = 'live' WHERE name = 'other'")


def test_whoever_is_for_a_language_reads_it(tmp_path: Path) -> None:
    bundles = (("b", ("de", "en")), ("a", ("en", "zh")), ("c", ("zh",)))
    a, b, c = in_order([Classifier(write_tiny(tmp_path / name, name, 1, languages=read)) for name, read in bundles])
    assert [model.name for model in (a, b, c)] == ["a", "b", "c"]
    chosen = {code: reader_of(code, [a, b, c]) for code in ("en", "zh", "de", "", "fr")}
    assert chosen == {"en": a, "zh": c, "de": b, "": a, "fr": None}
    assert (reader_of("zh", [a, b]), reader_of("en", [b, c]), reader_of("", [])) == (a, b, None)


def test_bundles_of_the_settings_serve_languages_that_no_live_model_reads(
    engine: Engine, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundles = {"default": ("en", "zh"), "chinese": ("zh",), "english": ("en",), "german": ("de",)}
    for name, languages in bundles.items():
        write_tiny(tmp_path / "shipped" / name, name, 1, languages=languages)
    write_tiny(tmp_path / "live", "live", 2, languages=["zh"])
    register_tiny(settings, engine, tmp_path / "live")
    (tmp_path / "shipped" / "german" / "manifest.json").write_text("{}")
    settings = settings.model_copy(update={"stream": StreamSettings(bundle=tmp_path / "shipped")})

    def names() -> list[str]:
        return [model.name for model in served_models(settings, engine)]

    assert names() == ["default", "chinese"], "the one for a language reads it, whoever else could"
    assert f"{tmp_path}/shipped/english is not used: the one at {tmp_path}/shipped/default is for en too" in caplog.text
    assert "german/manifest.json is no valid manifest" in caplog.text
    move_model(engine, "live", "live", actor="test", reason="test")
    assert names() == ["default", "live"]
    settings = settings.model_copy(update={"stream": StreamSettings(bundle=tmp_path / "nowhere")})
    assert names() == ["live"]
    with pytest.raises(BundleError, match="is missing"):
        configured_models(settings)
