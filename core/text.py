"""Text as newstide reads it: cleaned once on the way in, and in two narrower forms for the model and for stories.

All functions are pure and total: any `str` in, a `str` out.
"""

from __future__ import annotations

import re
import unicodedata

from core import copies
from core.boilerplate import without_boilerplate
from core.markup import has_references, strip_markup, unescape

_MOST_ROUNDS = 6
# C0 and C1 controls, lone surrogates, zero-width and bidirectional marks: invisible, and they defeat equality.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SPACE = re.compile(r"\s+")
_SHORTENERS = r"t\.co|bit\.ly|ow\.ly|goo\.gl|tinyurl\.com|stks\.co|fb\.me"
_URL = re.compile(rf"(?:https?://|www\.)\S+|\b(?:{_SHORTENERS})/\w+", re.IGNORECASE)
_REUTERS_CODE = re.compile(r"<[A-Za-z][\w.^=]{0,15}>")
_RETWEET = re.compile(r"^(?:RT\s+)?(?:@\w{1,20}:\s*)+|^RT\s+(?=@)", re.IGNORECASE)
_HOST_END = re.compile("[/?#]")
_USER = re.compile(r"(?<!\w)@\w{1,20}")
_WORD = re.compile(r"[$#]?\w+", re.UNICODE)
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_LEAST_UNSPACED = 10  # characters of a headline that tells one flash from another


def clean(raw: str) -> str:
    """Plain text of `raw`: markup and boilerplate removed, Unicode NFC, controls removed, white space folded.

    Feeds often escape what was escaped already, so this goes on until nothing changes: `clean(clean(x)) == clean(x)`.
    Time is linear in the length of `raw`, whatever it holds.
    """
    text = raw
    for _ in range(_MOST_ROUNDS):
        before, text = text, _cleaned_once(text)
        if text == before or not (_may_change(before) or _may_change(text)):
            return text
    # Nobody escapes that often but to harm: without these two characters there is nothing left to undo.
    return _cleaned_once(text.replace("<", " ").replace("&", " "))


def _may_change(text: str) -> bool:
    """Whether cleaning may change more than the end of `text`, behind which there is then more to remove."""
    return "<" in text or "]]" in text or has_references(text)


def _cleaned_once(raw: str) -> str:
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", raw))
    if "<" in text or "&" in text:
        plain = strip_markup(text) if "<" in text else text
        story = without_boilerplate(unescape(plain), marked=plain != text)
        text = unicodedata.normalize("NFC", _INVISIBLE.sub("", story))
    else:
        text = without_boilerplate(text, marked=False)
    text = _SPACE.sub(" ", text).strip()
    end = len(text)
    while text.endswith("]]>", 0, end):  # of a CDATA section whose beginning is lost
        end -= 3
        end -= text.endswith(" ", 0, end)
    return text[:end]


def normalise_urls(text: str) -> str:
    """`text` with scheme and host of every URL in lower case and trailing punctuation left outside of it."""

    def lower_host(match: re.Match[str]) -> str:
        url = match.group(0)
        bare = url.rstrip(".,;:!?)]}'\"…")
        scheme, separator, rest = bare.partition("://")
        if not separator:
            scheme, rest = "", bare
        end = _HOST_END.search(rest)
        authority, path = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
        user, at, host = authority.rpartition("@")
        return scheme.lower() + separator + user + at + host.lower() + path + url[len(bare) :]

    return _URL.sub(lower_host, text)


def model_input(text: str) -> str:
    """What a classifier reads of a cleaned message: no URLs, no user names, no codes such as <AAPL.O>.

    Training and serving share this form.
    """
    text = _USER.sub("@user", _URL.sub(" ", _REUTERS_CODE.sub(" ", clean(text))))
    return _SPACE.sub(" ", text).strip()


def story_form(text: str, title: str = "") -> str:
    """The normalised text: messages with equal forms are copies of one story.

    Case, punctuation, width of characters, URLs, the retweet prefix, names of publishers after a headline, a dateline
    and a title that the text repeats are what syndication and sharing change, so none of them counts.
    """
    headline, body = _headline_and_body(text, title)
    content = _words(copies.without_publisher(body))
    if not headline:
        return content
    short, whole = _words(copies.without_publisher(headline)), _words(headline)
    if _words(body) == whole:
        # The text is the title again. Aggregators put the publisher after both, with a separator in the title only.
        head, name = copies.last_part(headline)
        is_credit = copies.looks_like_name(name) and not copies.last_part(body)[1]
        return _words(head) if is_credit else short
    if not content or _begins(short, content):
        return short
    if _begins(content, short) or (headline.endswith(("…", "...")) and content.startswith(short)):
        return content
    return f"{short} {content}".strip()


def headline_form(text: str, title: str = "") -> str:
    """The normalised headline of a flash in a script without spaces, "" where there is none that says enough.

    Feeds that tell one flash agree on its headline, word for word, more often than on the sentences below it; in these
    scripts a headline of some length says all that happened.
    """
    headline = _headline_and_body(text, title)[0]
    if headline.isascii():
        return ""
    words = _words(copies.without_publisher(headline))
    return words if len(_UNSPACED.findall(words)) >= _LEAST_UNSPACED else ""


def word_form(text: str) -> str:
    """The words of `text`, case, punctuation, URLs and the retweet prefix left out: what corpora are compared by.

    The rules of `story_form` on publishers, datelines and titles do not apply, so splits do not move when those change.
    """
    return _words(_RETWEET.sub("", clean(text)))


def _headline_and_body(text: str, title: str) -> tuple[str, str]:
    headline, body = _unwrapped(title), _unwrapped(text)
    heading, rest = copies.split_heading(body)
    if heading and (not headline or _words(copies.without_publisher(headline)) == _words(heading)):
        return heading, copies.without_dateline(rest)
    return headline, body


def _unwrapped(text: str) -> str:
    body = _RETWEET.sub("", clean(text)) if text else ""
    if not body.isascii():
        body = _SPACE.sub(" ", unicodedata.normalize("NFKC", body)).strip()
    return copies.without_dateline(body)


def _words(text: str) -> str:
    return " ".join(_WORD.findall(_URL.sub(" ", text).casefold()))


def _begins(words: str, with_words: str) -> bool:
    """Whether `words` begin with whole words of `with_words`; a script without spaces has no whole words."""
    if not words.startswith(with_words):
        return False
    end = len(with_words)
    return not end or end == len(words) or words[end] == " " or words[end - 1] > "\u303f"
