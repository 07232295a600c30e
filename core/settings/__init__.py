"""The one settings class: defaults, then `newstide.toml`, then `NEWSTIDE_*` in the environment (the strongest).

`NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS` sets `kafka.bootstrap_servers`. Every field's description is its documentation:
docs/settings.md is generated from here, and a test holds the two together.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from core.errors import SettingsError
from core.redaction import HIDDEN, passwords, redact
from core.settings.environment import PREFIX, closest, refuse_unknown_variables, variable
from core.settings.sections import (
    AlertingSettings,
    DatabaseSettings,
    DeskSettings,
    EmbeddedSettings,
    IngestSettings,
    KafkaSettings,
    MetricsSettings,
    ModelsSettings,
    RetentionSettings,
    Section,
    StreamSettings,
)

DEFAULT_LATENESS_S = 60.0  # where no feeds are polled
PROJECT = Path(__file__).resolve().parents[2]
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*")


class Settings(BaseSettings):
    """All of newstide's settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        toml_file="newstide.toml",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much every process and command logs, on standard error."""
    log_format: Literal["text", "json"] = "text"
    """`text`: a line for people; `json`: one JSON object a line, for log collectors."""
    taxonomy: Path | None = None
    """Tasks and labels. Empty: the taxonomy that ships."""
    kafka: KafkaSettings = KafkaSettings()
    database: DatabaseSettings = DatabaseSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    ingest: IngestSettings = IngestSettings()
    stream: StreamSettings = StreamSettings()
    models: ModelsSettings = ModelsSettings()
    alerting: AlertingSettings = AlertingSettings()
    retention: RetentionSettings = RetentionSettings()
    metrics: MetricsSettings = MetricsSettings()
    desk: DeskSettings = DeskSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def topic(self, name: str) -> str:
        """Full name of the topic `name` (`messages`, `classified`, `alerts`, `dead-letters`)."""
        return self.kafka.topic_prefix + name

    @property
    def worker_group(self) -> str:
        """The consumer group of the workers."""
        return f"{self.kafka.topic_prefix}worker"

    @property
    def bundle_directories(self) -> list[Path]:
        """Directories of the bundles that serve before any is promoted: at most one of each language is used, the first
        one; `default` is the first."""
        path = self.stream.bundle or PROJECT / "models"
        held = [] if (path / "manifest.json").exists() else [file.parent for file in path.glob("*/manifest.json")]
        return sorted(held, key=lambda bundle: (bundle.name != "default", bundle.name)) or [path]

    @property
    def bundle_directory(self) -> Path:
        """The first of them."""
        return self.bundle_directories[0]

    @property
    def shelf_location(self) -> str:
        return self.models.shelf or str((self.embedded.directory / "models").absolute())

    @property
    def bundle_cache(self) -> Path:
        return self.models.cache or self.embedded.directory / "cache"


def load_settings(**overrides: Any) -> Settings:
    """Settings from overrides, environment and `newstide.toml`. Raises SettingsError naming each fault."""
    refuse_unknown_variables([*field_names(), *Settings.model_fields])
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(fault) for fault in error.errors())) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"newstide.toml is not valid TOML: {error}; mend that line") from None
    except Exception as error:
        # pydantic-settings wraps JSON faults of list-valued variables in its own error
        raise SettingsError(f"settings can't be read: {error}; write lists as JSON, for example [30,120]") from error


def field_names() -> list[str]:
    """Every setting's dotted name, in order of definition."""
    return [name for name, _ in describe()]


def describe() -> list[tuple[str, FieldInfo]]:
    """Pairs of dotted name and pydantic field of every setting."""
    rows: list[tuple[str, FieldInfo]] = []
    for name, field in Settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            rows.extend((f"{name}.{inner}", inner_field) for inner, inner_field in annotation.model_fields.items())
        else:
            rows.append((name, field))
    return rows


def shown(field: FieldInfo, value: object) -> str:
    """`value` of the setting `field` as it may be read by anyone: passwords and tokens are hidden."""
    if value is None:
        return "empty"
    if isinstance(value, SecretStr):
        return HIDDEN
    text = redact(str(value))
    if not is_secret(field):
        return text
    # Of an address that holds a secret, what a person needs to tell one server from another.
    address = _ADDRESS.match(text)
    return f"{address[0]}/{HIDDEN}" if address else HIDDEN


def is_secret(field: FieldInfo) -> bool:
    """Whether the value may hold a password or a token."""
    return not field.repr or "SecretStr" in str(field.annotation)


def secrets(settings: Settings) -> list[str]:
    """Every password and token in `settings`, to be kept out of logs."""
    found = []
    for name, field in describe():
        value: object = settings
        for part in name.split("."):
            value = getattr(value, part)
        if value is not None and is_secret(field):
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            found += [text, *passwords(text)]
    return found


def _explain(fault: Any) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"setting `{name}` does not exist{closest(name, set(field_names()))}"
    fields = dict(describe())
    given = f"{fault.get('input')!r:.200}" if name in fields and not is_secret(fields[name]) else "not valid"
    return f"setting `{name}` is {redact(given)}: {fault['msg']} (environment: {variable(name)})"
