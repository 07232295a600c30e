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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NEWSTIDE_SERVICE_HOST", "10.96.0.7"),
        ("NEWSTIDE_SERVICE_HOST", "fd00::7"),
        ("NEWSTIDE_SERVICE_PORT", "80"),
        ("NEWSTIDE_SERVICE_PORT_HTTP", "80"),
        ("NEWSTIDE_PORT", "tcp://10.96.0.7:80"),
        ("NEWSTIDE_PORT_80_TCP", "tcp://10.96.0.7:80"),
        ("NEWSTIDE_PORT_80_TCP_ADDR", "10.96.0.7"),
        ("NEWSTIDE_PORT_80_TCP_PORT", "80"),
        ("NEWSTIDE_PORT_80_TCP_PROTO", "tcp"),
        ("NEWSTIDE_WORKER_SERVICE_PORT_HTTP_METRICS", "9870"),
        ("NEWSTIDE_INGEST_PUSH_PORT", "tcp://[fd00::7]:8770"),
        ("NEWSTIDE_DB_NAME", "/web/newstide_db"),
    ],
)
def test_links_to_a_service_called_newstide_are_no_settings(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NEWSTIDE_INGEST_PUSH_PORT", "8770"),
        ("NEWSTIDE_METRICS_WORKER_PORT", "9870"),
        ("NEWSTIDE_KAFKA__SERVICE_HOST", "10.96.0.7"),
        ("NEWSTIDE_SERVICE_HOST", "somewhere"),
        ("NEWSTIDE_DATABASE_NAME", "news"),
        ("NEWSTIDE_DB_ENV_PASSWORD", "x"),
    ],
)
def test_what_only_looks_like_a_link_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", "postgresql://news:pass-word@db:5432/news?password=another-one")
    monkeypatch.setenv("NEWSTIDE_ALERTING__WEBHOOK_URL", "https://hooks.example/T0/abcdef")
    monkeypatch.setenv("NEWSTIDE_INGEST__PUSH_TOKEN", "a-long-token")
    monkeypatch.setenv("NEWSTIDE_KAFKA__SASL_PASSWORD", "sasl-word")
    monkeypatch.setenv("NEWSTIDE_MODELS__SHELF", "ftp://me:shelf-word@files.example/models")
    shown = CliRunner().invoke(settings).output + repr(load_settings())
    for secret in ("pass-word", "another-one", "abcdef", "a-long-token", "sasl-word"):
        assert secret not in shown
    assert "shelf-word" not in CliRunner().invoke(settings).output
    assert "database.url = postgresql://news:***@db:5432/***" in shown
    assert "alerting.webhook_url = https://hooks.example/***" in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NEWSTIDE_DATABASE", '{"url": 5, "passphrase": "hidden-word"}'),
        ("NEWSTIDE_INGEST", '["hidden-word"]'),
        ("NEWSTIDE_KAFKA", '{"sasl_password": ["hidden-word"]}'),
    ],
)
def test_an_error_does_not_quote_a_secret(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "hidden-word" not in str(refused.value)
