from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InputError, SettingsError
from core.toml_file import read_toml


def test_what_an_editor_of_windows_writes_is_read(tmp_path: Path) -> None:
    file = tmp_path / "feeds.toml"
    file.write_bytes('name = "新浪"\r\n'.encode("utf-8-sig"))
    assert read_toml(file) == {"name": "新浪"}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, r"^rules file .*a\.toml can't be read: there is no such file; look again$"),
        (b"x = 1\ny = a\n", "is not valid TOML: .*line 2.*; mend that line"),
        (b"x = '\xff'", "is not valid TOML: .*utf-8.*; mend that line"),
        (b"x = " + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_toml_is_refused_by_name(tmp_path: Path, content: bytes | None, fault: str) -> None:
    file = tmp_path / "a.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=fault):
        read_toml(file, "rules file", "look again", SettingsError)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Is a directory; check the path"):
        read_toml(tmp_path)
