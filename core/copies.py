"""What syndication adds to a text: a publisher's name after a headline, a dateline before a flash, the title once more.

All functions are pure, total and linear. They are cautious: a headline that keeps a publisher's name is one story too
many, but one that loses its end may be counted with another story.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

_OUTLETS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("outlets.toml").read_text(encoding="utf-8"))
_LONGEST_HEADLINE = 400  # characters; what is longer is no headline and ends in a name only in brackets
_LONGEST_NAME = 48
_LONGEST_CREDIT = 48
_MOST_NAMES = 3  # "... - Markets News - Reuters | Yahoo Finance"
_LEAST_HAN, _LEAST_WORDS = 4, 2  # of a headline before a name

# Between a headline and a name: dashes or a bar with spaces around; Chinese sites do without the spaces. Matched on the
# end of the headline only, whose length bounds the work.
_DASH = "-\u2010-\u2015\u2212"
_BAR = "|\uff5c\u00a6"
_LATIN_TAIL = re.compile(
    rf"(?P<head>.*\S)(?:\s[{_DASH}{_BAR}\u00b7\u2022\u00bb~]{{1,2}}\s|\s?[{_BAR}]\s?)(?P<name>\S.*)"
)
_HAN_TAIL = re.compile(rf"(?P<head>.*\S)\s?[{_DASH}{_BAR}_\uff3f\u00b7]{{1,2}}\s?(?P<name>[^{_DASH}{_BAR}_\uff3f\s]+)")
_BRACKETED = re.compile(
    r"(?P<head>.*\S)\s?[(\uff08\[\u3010](?P<name>[^()\uff08\uff09\[\]\u3010\u3011]+)[)\uff09\]\u3011][.\u3002]?"
)
_SEPARATOR = re.compile(rf"\s[{_DASH}\u00b7\u2022\u00bb~]|[{_BAR}_\uff3f)\uff09\]\u3011]|[^\x00-\x7f]")
_CREDIT = re.compile(r"(?:\u6587\u7ae0)?\u6765\u6e90\s?[:\uff1a]?\s?|(?:source|via)\s?:?\s", re.IGNORECASE)

_NAMES, _AGENCIES = frozenset(_OUTLETS["names"]), "|".join(_OUTLETS["agencies"])
_ENDINGS, _REMARKS = frozenset(_OUTLETS["endings"]), frozenset(_OUTLETS["remarks"])
_HAN_ENDINGS, _HAN_REMARKS = tuple(_OUTLETS["chinese_endings"]), tuple(_OUTLETS["chinese_remarks"])
_LONGEST_HAN_NAME = 14
_NAME_WORD = re.compile(r"[A-Z0-9\u00c0-\u00de][\w.'\u2019&/!-]*")
_SMALL_WORDS = frozenset({"of", "and", "the", "&", "for", "de", "la", "der", "von"})
_DOMAIN = re.compile(
    r"(?:[a-z0-9-]{1,30}\.){1,3}(?:com|net|org|info|news|tv|fm|co|io|biz|cn|hk|tw|jp|kr|in|uk|de|fr|es|it|eu|ca|au|ch)",
    re.IGNORECASE,
)
_HAN = re.compile("[\u3040-\u30ff\u3400-\u9fff]")

# "财联社11月26日电，" and "(Reuters) - ": who says it, from where and when.
_HAN_DATELINE = re.compile(
    r"(?:\w{2,12}?\s?)?(?:\d{1,2}月)?\d{1,2}日(?:电|讯|消息)"
    r"(?:\s?[(\uff08][^()\uff08\uff09]{1,30}[)\uff09])?\s?[,\uff0c:\uff1a\u3001]?\s?"
)
# "快讯：" and "【突发】" before a flash, "（记者 李四）" and "（完）" behind it.
_HAN_LABEL = re.compile(r"[【\[]?(?:快讯|突发|速报|重磅|独家|最新消息)(?:[】\]]\s?|[,，:：!！|｜]\s?)")
_HAN_CREDIT = re.compile(
    r"\s?[(（](?:(?:本报|见习|实习)?记者|(?:责任)?编辑|责编|作者|撰文|校对|完)[^()（）]{0,30}[)）]\s?[。.]?\s?$"
)
_LATIN_DATELINE = re.compile(rf"(?:[A-Z][\w.,/ ]{{0,40}}\s)?\((?:{_AGENCIES})\)\s?[{_DASH}]{{1,2}}\s")
_HEADING = re.compile(r"\u3010(?P<title>[^\u3010\u3011]{4,200})\u3011\s?")


def without_dateline(text: str) -> str:
    """`text` without the agency, place and day that open it; a Chinese one also without "快讯：" and its writers."""
    if text.isascii():
        match = _LATIN_DATELINE.match(text)
        return text[match.end() :] if match and match.end() < len(text) else text
    for pattern in (_HAN_LABEL, _HAN_DATELINE, _LATIN_DATELINE):
        match = pattern.match(text)
        if match and match.end() < len(text):
            text = text[match.end() :]
            if pattern is _HAN_DATELINE:
                break
    credit = _HAN_CREDIT.search(text, max(0, len(text) - _LONGEST_CREDIT))
    return text[: credit.start()] if credit and credit.start() else text


def split_heading(text: str) -> tuple[str, str]:
    """Heading and rest of "\u3010heading\u3011 rest"; without such a heading, "" and `text`."""
    match = _HEADING.match(text)
    return (match["title"], text[match.end() :]) if match and match.end() < len(text) else ("", text)


def without_publisher(headline: str) -> str:
    """`headline` without the names of outlets at its end: "... - Reuters", "... | CNBC", "..._新浪财经"."""
    for _ in range(_MOST_NAMES):
        head, name = last_part(headline)
        if not (_is_outlet(name) and _is_headline(head)):
            break
        headline = head
    return headline


def last_part(headline: str) -> tuple[str, str]:
    """What stands before and after the last separator of `headline`; without one, all and ""."""
    start = max(len(headline) - _LONGEST_NAME - 8, 0)
    end = headline[start:]
    if not _SEPARATOR.search(end):
        return headline, ""
    patterns = (_LATIN_TAIL, _HAN_TAIL, _BRACKETED) if len(headline) <= _LONGEST_HEADLINE else (_BRACKETED,)
    matches = [match for pattern in patterns if (match := pattern.fullmatch(end))]
    found = [match for match in matches if match.re is not _HAN_TAIL or _HAN.search(match["name"])]
    if not found:
        return headline, ""
    last = max(found, key=lambda match: match.end("head"))
    return headline[: start + last.end("head")], last["name"].strip()


def looks_like_name(name: str) -> bool:
    """Whether `name` could be an outlet's: a few words that begin with capitals."""
    words = name.split()
    return (
        1 <= len(words) <= 6
        and len(name) <= _LONGEST_NAME
        and all(_NAME_WORD.fullmatch(word) or (number and word in _SMALL_WORDS) for number, word in enumerate(words))
    )


def _is_outlet(name: str) -> bool:
    name = _CREDIT.sub("", name, count=1).strip()
    if not name or len(name) > _LONGEST_NAME:
        return False
    folded = name.casefold().rstrip(".")
    if folded in _NAMES or _DOMAIN.fullmatch(name):
        return True
    if _HAN.search(name):
        return len(name) <= _LONGEST_HAN_NAME and name.endswith(_HAN_ENDINGS) and not name.endswith(_HAN_REMARKS)
    words = folded.split()
    return len(words) >= 2 and words[-1] in _ENDINGS and words[0] not in _REMARKS and looks_like_name(name)


def _is_headline(head: str) -> bool:
    return len(_HAN.findall(head[:40])) >= _LEAST_HAN or len(head.split()) >= _LEAST_WORDS
