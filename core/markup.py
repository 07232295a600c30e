"""Plain text out of markup. Pure, total, and linear in the length of its input by construction.

Feeds send all that has ever been called HTML: unclosed elements, markup escaped twice, escaped CDATA sections, figures
such as "EPS <5 cents" that are no markup at all. A tree is not needed to read the text in it, and building one costs
superlinear time on hostile nesting; so the text is read from left to right, each character once.

Boundaries stay visible in the result as control characters: `BLOCK` where a block element begins or ends, `LINK` and
`LINK_END` around links. The caller turns them into space.
"""

from __future__ import annotations

import html
import re
from html.entities import html5

BLOCK, LINK, LINK_END = "\x1e", "\x1d", "\x1f"

# Possessive quantifiers never give back what they took, and a tag without its ">" is matched as far as it goes, so
# that the scan goes on behind it: no character is read more than a few times, whatever the input.
_TOKEN = re.compile(
    r"<(?:(?P<comment>!--)(?:\[CDATA\[)?"
    r"|(?P<cdata>!\[CDATA\[)"
    r"|[!?][a-z\[][^<>]*+(?P<declared>>?)"
    r"|(?P<closing>/?)(?P<name>[a-z][^\s/<>]*+)"
    r"""(?P<attributes>(?:[^<>=]++|=\s*+"[^"]*+"|=\s*+'[^']*+'|=)*+)(?P<end>>?))""",
    re.IGNORECASE,
)
# Most tags of most feeds: well-formed, of no further interest, and so removed at once.
_ATTRIBUTES = r"""(?:\s++[^\s<>"'=]++\s*+=\s*+(?:"[^<>"]*+"|'[^<>']*+'|[^\s<>"']*+))*+\s*+/?>"""
_PLAIN_INLINE = re.compile(rf"</?(?:span|strong|em|b|i|u|font|small|sup|sub){_ATTRIBUTES}", re.IGNORECASE)
_PLAIN_BLOCK = re.compile(rf"</?(?:p|div|br|li|ul|ol|h[1-6]|t[rdh]|table|tbody|blockquote){_ATTRIBUTES}", re.IGNORECASE)
_CLOSING_NAME = re.compile(r"</([a-z][^\s/<>]*+)", re.IGNORECASE)
_SKIPPED = {
    name: re.compile(rf"<(/?){name}\b[^<>]*+>?", re.IGNORECASE)
    for name in ("script", "style", "iframe", "noscript", "svg", "template")
}
_CDATA_END = re.compile(r"\]\](?:--)?>")
_ALT = re.compile(r"""\balt\s*+=\s*+(?:"([^"]{1,500})"|'([^']{1,500})')""", re.IGNORECASE)
_NAMESPACED = re.compile(r"[a-z][\w.-]*:[a-z][\w.-]*|https?:|[a-z]+(?:-[a-z0-9]+)+", re.IGNORECASE)

_BLOCK_NAMES = (
    "address article aside blockquote body br button caption center col colgroup dd details dialog dir div dl dt "
    "fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hgroup hr html label legend li main menu nav "
    "ol optgroup option p pre section select summary table tbody td textarea tfoot th thead title tr ul"
)
_INLINE_NAMES = (
    "a abbr acronym applet area audio b base basefont bdi bdo big blink canvas cite code data datalist del dfn em "
    "embed font frame frameset i iframe img image input ins kbd link map mark marquee math meta meter nobr noframes "
    "noscript object output param picture progress q rp rt ruby s samp script search slot small source span strike "
    "strong style sub sup svg template time track tt u var video wbr xmp"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_ELEMENTS = _BLOCKS.union(_INLINE_NAMES.split())

# An ampersand escaped any number of times is one ampersand, so that "&amp;amp;amp;lt;" takes one step, not four.
_AMPERSANDS = re.compile(r"&(?:(?:amp|AMP|#0{0,9}38|#[xX]0{0,9}26);|amp(?![;a-z=]))++")
_REFERENCE = re.compile(
    r"&(?:#(?:0*[0-9]{1,7}(?![0-9])|[xX]0*[0-9a-fA-F]{1,6}(?![0-9a-fA-F]));?"
    r"|(nbsp|amp(?!=)|(?:lt|gt|quot)(?![A-Za-z=]))(?!;)"
    r"|([A-Za-z][A-Za-z0-9]{1,30})(;?)(=?))"
)


def strip_markup(text: str) -> str:
    """`text` without tags, comments, scripts, styles, drawings and CDATA marks; boundaries as control characters.

    What looks like a tag and is none stays: "a < b", "<5 cents", "<AAPL.O>". An image speaks only where its alternative
    text is a symbol (emoji), or where there is no other text at all.
    """
    reader = _Reader(_PLAIN_BLOCK.sub(BLOCK, _PLAIN_INLINE.sub("", text)))
    reader.read()
    plain = "".join(reader.pieces)
    if reader.cdata_sections:
        plain = _CDATA_END.sub("", plain, count=reader.cdata_sections)
    if reader.alternatives and not plain.strip():
        return " ".join(dict.fromkeys(reader.alternatives))
    return plain


def unescape(text: str) -> str:
    """`text` with its character references replaced, however often their ampersand was escaped.

    A name without its semicolon counts only where it stands alone ("&copy 2026"), but "&nbsp" and "&amp" always.
    "AT&T", "Q&A" and "?a=1&copy=2" stay what they are.
    """
    return _REFERENCE.sub(_character, _AMPERSANDS.sub("&", text))


def has_references(text: str) -> bool:
    """Whether `unescape` would change anything."""
    return "&" in text and _REFERENCE.search(text) is not None


class _Reader:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pieces: list[str] = []
        self.alternatives: list[str] = []
        self.cdata_sections = 0
        self._closed: frozenset[str] | None = None
        self._last_closing: dict[str, int] = {}
        self._no_comment_ends = False

    def read(self) -> None:
        text, position = self.text, 0
        while token := _TOKEN.search(text, position):
            self.pieces.append(text[position : token.start()])
            position = self._token(token)
        self.pieces.append(text[position:])

    def _token(self, token: re.Match[str]) -> int:
        """Handles one token and says where reading goes on."""
        name = token["name"]
        if name is not None:
            return self._tag(token, name.lower())
        if token["comment"]:
            return self._comment(token)
        if token["cdata"]:
            self.cdata_sections += 1
        elif not token["declared"]:
            self.pieces.append(token[0])
        return token.end()

    def _comment(self, token: re.Match[str]) -> int:
        if token[0].endswith("["):  # a CDATA section that a browser took for a comment: its content is meant
            self.cdata_sections += 1
            return token.end()
        end = -1 if self._no_comment_ends else self.text.find("-->", token.start() + 2)
        if end < 0:
            self._no_comment_ends = True
            return token.end()
        return end + 3

    def _tag(self, token: re.Match[str], name: str) -> int:
        attributes, closing = token["attributes"], bool(token["closing"])
        if not token["end"] or not self._is_markup(name, attributes, closing):
            self.pieces.append(token[0])
            return token.end()
        if name in _BLOCKS or (name not in _ELEMENTS and not _NAMESPACED.fullmatch(name)):
            self.pieces.append(BLOCK)
        elif name == "a":
            self.pieces.append(LINK_END if closing else LINK)
        elif name == "img":
            self._image(attributes)
        elif name in _SKIPPED and not closing and not attributes.endswith("/"):
            return self._skip(name, token.end())
        return token.end()

    def _is_markup(self, name: str, attributes: str, closing: bool) -> bool:
        if name in _ELEMENTS:
            # "a<b and c>d": the elements of one letter are also what people compare.
            return len(name) > 1 or closing or "=" in attributes or not attributes.strip("/ \t\r\n")
        if closing or "=" in attributes or attributes.endswith("/") or _NAMESPACED.fullmatch(name):
            return True
        if self._closed is None:
            self._closed = frozenset(name.lower() for name in _CLOSING_NAME.findall(self.text))
        return name in self._closed

    def _image(self, attributes: str) -> None:
        match = _ALT.search(attributes)
        alternative = (match[1] or match[2]).strip() if match else ""
        if not alternative:
            return
        if len(alternative) <= 8 and not any(character.isalnum() for character in alternative):
            self.pieces.append(alternative)
        elif len(self.alternatives) < 3:
            self.alternatives.append(alternative)

    def _skip(self, name: str, start: int) -> int:
        """Where reading goes on behind the element `name`, whose content begins at `start`.

        A script or a style that never ends takes all the rest; anything else that never ends takes nothing.
        """
        nests = name in ("svg", "template")
        if name not in self._last_closing:
            ends = (tag.end() for tag in _SKIPPED[name].finditer(self.text) if tag[1])
            self._last_closing[name] = max(ends, default=-1)
        if self._last_closing[name] <= start:
            return len(self.text) if name in ("script", "style") else start
        depth = 1
        for tag in _SKIPPED[name].finditer(self.text, start):
            depth += -1 if tag[1] else int(nests)
            if not depth:
                return tag.end()
        return self._last_closing[name]


def _character(match: re.Match[str]) -> str:
    whole, name = match[0], match[2]
    if name is None:
        return html5[match[1]] if match[1] else html.unescape(whole)
    if match[3]:
        return html5.get(name + ";", whole.removesuffix("=")) + match[4]
    return whole if match[4] or name not in html5 else html5[name]
