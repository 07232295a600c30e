"""Every setting is documented, and the page is the one the settings class makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from core.errors import SettingsError
from core.settings import describe, load_settings, variable
from newstide.commands.administration import settings, settings_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in describe() if not field.description] == []


def test_the_page_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == settings_document(), (
        "run `newstide settings --markdown > docs/settings.md`"
    )


def test_the_command_lists_them_all() -> None:
    shown = CliRunner().invoke(settings).output
    assert all(variable(name) in shown for name, _ in describe())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("NEWSTIDE_KAFKA__BOOTSTRAP_SERVER", "did you mean NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS?"),
        ("NEWSTIDE_LOGLEVEL", "did you mean NEWSTIDE_LOG_LEVEL?"),
        ("NEWSTIDE_STREAM__WORKERS", "setting `stream.workers` is 'many'"),
    ],
)
def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, hint: str) -> None:
    monkeypatch.setenv(name, "many")
    with pytest.raises(SettingsError, match=hint.replace("?", r"\?")):
        load_settings()


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("[kafka]\nbootstrap = 'x'", "setting `kafka.bootstrap` does not exist"),
        ("[kafka", "newstide.toml is not valid TOML"),
        ("workers = 3", "setting `workers` does not exist"),
    ],
)
def test_a_faulty_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, hint: str) -> None:
    (tmp_path / "newstide.toml").write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=hint):
        load_settings()


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "newstide.toml").write_text("log_level = 'error'\n[stream]\nworkers = 3\nbatch_size = 17\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEWSTIDE_STREAM__WORKERS", "5")
    loaded = load_settings()
    assert (loaded.log_level, loaded.stream.workers, loaded.stream.batch_size) == ("error", 5, 17)
