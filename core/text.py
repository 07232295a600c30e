"""Text as newstide reads it: cleaned once on the way in, and in two narrower forms for the model and for stories.

All functions are pure and total: any `str` in, a `str` out.
"""

from __future__ import annotations

import html
import re
import unicodedata

from selectolax.lexbor import LexborHTMLParser

_TAG = re.compile(r"<[a-zA-Z/!?][^<>]{0,2000}>")
_BLOCK = re.compile(r"<(?:/p|/div|/li|/h[1-6]|/tr|/td|br ?/?)\b[^<>]*>", re.IGNORECASE)
# C0 and C1 controls, lone surrogates, zero-width and bidirectional marks: invisible, and they defeat equality.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SPACE = re.compile(r"\s+")
_SHORTENERS = r"t\.co|bit\.ly|ow\.ly|goo\.gl|tinyurl\.com|stks\.co|fb\.me"
_URL = re.compile(rf"(?:https?://|www\.)\S+|\b(?:{_SHORTENERS})/\w+", re.IGNORECASE)
_RETWEET = re.compile(r"^(?:RT\s+)?(?:@\w{1,20}:\s*)+|^RT\s+(?=@)", re.IGNORECASE)
_USER = re.compile(r"(?<!\w)@\w{1,20}")
_WORD = re.compile(r"[$#]?\w+", re.UNICODE)


def clean(raw: str) -> str:
    """Plain text of `raw`: HTML unescaped and stripped, Unicode NFC, controls removed, white space folded.

    Entities are unescaped up to twice, because feeds often escape what was escaped already.
    """
    text = raw
    for _ in range(2):
        if "<" in text and _TAG.search(text):
            body = LexborHTMLParser(_BLOCK.sub(" \\g<0>", _INVISIBLE.sub("", text)))
            body.strip_tags(["script", "style", "template", "noscript"])
            text = body.root.text(separator="") if body.root is not None else ""
        elif "&" in text:
            text = html.unescape(text)
        else:
            break
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    return _SPACE.sub(" ", text).strip()


def normalise_urls(text: str) -> str:
    """`text` with scheme and host of every URL in lower case and trailing punctuation left outside of it."""

    def lower_host(match: re.Match[str]) -> str:
        url = match.group(0)
        bare = url.rstrip(".,;:!?)]}'\"…")
        scheme, separator, rest = bare.partition("://")
        if not separator:
            scheme, rest = "", bare
        host, slash, path = rest.partition("/")
        return scheme.lower() + separator + host.lower() + slash + path + url[len(bare) :]

    return _URL.sub(lower_host, text)


def model_input(text: str) -> str:
    """What a classifier reads of a cleaned message: no URLs, no user names. Training and serving share this form."""
    text = _USER.sub("@user", _URL.sub(" ", clean(text)))
    return _SPACE.sub(" ", text).strip()


def story_form(text: str) -> str:
    """The normalised text: messages with equal forms are copies of one story.

    Case, punctuation, URLs and the retweet prefix are what syndication and sharing change, so none of them counts.
    """
    body = _RETWEET.sub("", clean(text))
    words = _WORD.findall(_URL.sub(" ", body).casefold())
    return " ".join(words)
