"""Text of strangers made harmless for people's messengers: no mention, no markup, no forged line. Pure.

What is harmless depends on the messenger: Slack has `<!channel>`, Discord and Mattermost have `@everyone`, Teams and
mail have HTML, many have `[text](address)`. So the characters that begin any of these are replaced for all of them, by
ones that look alike.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import quote, urlsplit

_ZERO_WIDTH_SPACE = "\u200b"
_LOOKALIKES = str.maketrans({"<": "‹", ">": "›", "@": f"@{_ZERO_WIDTH_SPACE}", "`": "'"})
_IN_ADDRESSES = "%/:?#&=+,;~$!-._"
MOST_CHARACTERS = 300


def plain(text: object, most: int = MOST_CHARACTERS) -> str:
    """`text` in one line of at most `most` characters, without controls and marks of direction, all harmless."""
    shown = "".join(
        " " if character.isspace() else character
        for character in unicodedata.normalize("NFC", str(text))
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    line = " ".join(shown.split())
    line = line if len(line) <= most else line[: most - 1].rstrip() + "…"
    return line.translate(_LOOKALIKES).replace("](", f"]{_ZERO_WIDTH_SPACE}(")


def address(text: object) -> str:
    """A web address with every character that some markup knows percent-encoded; "" for what is none."""
    written = str(text).strip()
    try:
        parts = urlsplit(written)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        return ""
    return quote(written, safe=_IN_ADDRESSES) if is_web and len(written) <= 2_000 and written.isprintable() else ""
