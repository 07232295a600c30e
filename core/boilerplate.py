"""What publishers put around a story: share buttons, "read more", copyright lines. Pure, linear in the text.

Only whole blocks go (a paragraph, a line, a list item), or what ends the last of them in so many words. Words inside a
story are never touched, and a text that is nothing but boilerplate stays as it is: it is all the message says.
"""

from __future__ import annotations

import re
from itertools import compress

from core.markup import BLOCK, LINK, LINK_END

_LONGEST = 300  # a block with more characters is prose
_MARKS = re.compile(f"[{LINK}{LINK_END}]")
_BETWEEN_LINKS = re.compile(f"{LINK_END}\\s*{LINK}")
_SPACE_AND_MARKS = f"{LINK}{LINK_END} \t\r\n\xa0"
_LINES = re.compile("[\r\n\x0b\x0c\x85\u2028\u2029]+")

_PLACE = (
    r"(?:facebook|twitter|x|linked ?in|whats ?app|telegram|reddit|pinterest|pocket|tumblr|flipboard|stocktwits|threads"
    r"|bluesky|mastodon|instagram|youtube|messenger|google ?\+?|xing|line|e-?mail|mail|sms|print|copy link|rss)"
)
_PLACES = rf"{_PLACE}(?:(?:,? (?:and|or|&) |[,/|•· ]+){_PLACE})*"
_THING = r"(?:article|story|post|page|news|link|item|report|video)"

_SHARE = r"(?:share|tweet|post|pin|save|forward|send|e-?mail|print)"
_MORE = r"(?:(?:the )?(?:full|whole|entire|complete|original|rest of the|source)"
_CHINESE_PLACE = r"(?:微信|微博|新浪微博|朋友圈|好友|qq|qq空间|豆瓣|人人网|抖音|钉钉|facebook|twitter)"

# Blocks that are boilerplate wherever they stand.
_PATTERNS = (
    rf"(?:please )?{_SHARE}(?: (?:this|it|the|via)){{1,2}}(?: {_THING})?(?: (?:on|to|via|with|by|in) {_PLACES})?",
    rf"(?:{_SHARE}|follow(?: us)?|like us) (?:on|to|via|with|by) (?:your )?{_PLACES}(?: \(opens in .{{1,20}}\))?",
    r"(?:follow|find|join) us(?: on [\w ,&]{1,80})?",
    r"share:|like this:?|(?:like )?loading(?:\.{3}|…)?|\(?opens in (?:a )?new window\)?|advertisements?",
    r"click (?:here|below|the link|on the link)\b.{0,140}",
    r"click to (?:share|e-?mail|print|tweet|read|view|see|continue|subscribe|expand|enlarge|play|follow)\b.{0,140}",
    r"(?:read|see|view|show|learn|find out|discover) more(?: (?:at|on|from|about|in|here)\b.{0,100}|[:：] .{0,140})?",
    rf"(?:read|see|view|get) (?:on|all|it all|{_MORE}(?: {_THING}| text)?))(?: (?:at|on|from|here)\b.{{0,100}})?",
    r"(?:continue|keep) reading\b.{0,200}",
    r"the post\b.{1,240}\b(?:appeared first|first appeared|was first published) (?:on|at|in)\b.{1,100}",
    rf"(?:this )?{_THING}? ?(?:was )?(?:originally|first) (?:appeared|published)(?: (?:on|at|in|by)\b.{{1,100}})?",
    r"©.{0,200}|(?:\(c\)|copyright(?: ©| \(c\))?),? *(?:19|20)\d\d.{0,200}|.{0,80}\ball rights reserved",
    r"sign up (?:for|to)\b.{0,60}\b(?:newsletters?|alerts|updates|briefing)\b.{0,60}",
    r"subscribe (?:to|for|via|now|today)?.{0,60}\b(?:newsletters?|alerts|updates|channel|podcast|feed|rss)\b.{0,60}",
    r"(?:leave|add|post|write) a (?:comment|reply)\b.{0,40}|(?:view|show|see) (?:all )?comments|skip to content",
    r"(?:责任编辑|责编|编辑|校对|审核)\s*[:：].{0,40}",
    r"点击(?:这里|此处|查看|阅读|进入|下载|关注|了解|收听|观看|展开|链接).{0,60}",
    rf"分享(?:到|至|给)?[:：]?(?:[\s、,，/|]*{_CHINESE_PLACE})+.{{0,8}}|分享(?:到|至)[:：]?",
    r"(?:阅读|查看|展开|显示)(?:原文|全文|更多|详情)[^，。；]{0,12}",
    r"(?:扫|长按)[^，。；]{0,12}二维码.{0,40}|(?:欢迎)?关注[^，。；]{0,24}(?:公众号|官方微信|微信号|官方微博|视频号).{0,30}",
    r"(?:更多|海量)[^。；]{0,40}(?:尽在|请关注|请下载|请点击).{0,40}|版权所有.{0,80}|免责声明\s*[:：].{0,280}",
)
_ALWAYS = re.compile(rf"[\[(«»<>→›·•|…\-– （【]*(?:{'|'.join(_PATTERNS)})[\])«»<>→›·•|….!:：，。 ）】]*", re.IGNORECASE)
# Blocks that are boilerplate only behind one of those: what a share bar lists may elsewhere be what a story lists.
_BESIDE = re.compile(
    rf"{_PLACES}|{_SHARE}|like|more|(?:no )?comments?|\d{{1,6}}(?: (?:comments?|shares?|likes?))?"
    r"|微信|微博|新浪微博|朋友圈|qq空间|qq|评论|收藏|点赞|打印|举报|复制链接|[|•·>»]",
    re.IGNORECASE,
)
_LAST_WORDS = re.compile(
    r"(?:\s+The post\b(?:(?!\bThe post\b).){1,240}\bappeared first on\b[^!?]{1,80}"
    r"|\s*[（(【\[](?:责任编辑|责编|编辑)\s*[:：][^()（）【】\[\]]{1,24}[)）】\]]"
    r"|(?<=[。！？.”」])\s*(?:责任编辑|责编)\s*[:：]\s*\S{1,12})\s*$"
)
_TAIL = 400  # characters at the end of a text in which last words are looked for


def without_boilerplate(text: str, marked: bool) -> str:
    """`text` without boilerplate, its boundaries turned to space.

    `marked`: the text came out of markup, so that `core.markup`'s control characters part its blocks; else lines do.
    """
    if marked:
        blocks = _BETWEEN_LINKS.sub(f"{LINK_END} {LINK}", text).split(BLOCK)
        text = _MARKS.sub("", " ".join(_kept([block for block in blocks if block.strip()], only_last=False)))
    elif "\n" in text or "\r" in text or "\u2028" in text:
        text = "\n".join(_kept([line for line in _LINES.split(text) if line.strip()], only_last=True))
    if "appeared first on" in text or "编辑" in text or "责编" in text:
        text = _without_last_words(text)
    return text


def _kept(blocks: list[str], only_last: bool) -> list[str]:
    """The blocks of a story. Of a plain text's lines, which may be anything, only the last go (`only_last`)."""
    of_story: list[bool] = []
    in_bar = False
    for block in blocks:
        text = _MARKS.sub("", block).strip() if len(block) <= _LONGEST else ""
        always = bool(text) and _ALWAYS.fullmatch(text) is not None
        in_bar = always or (in_bar and bool(text) and _BESIDE.fullmatch(text) is not None)
        of_story.append(not in_bar)
    if not any(of_story):
        return blocks
    if only_last:
        return blocks[: len(blocks) - of_story[::-1].index(True)]
    kept = list(compress(blocks, of_story))
    kept[-1] = _without_last_link(kept[-1])
    return kept


def _without_last_link(block: str) -> str:
    """The block without links such as "Continue reading" at its end."""
    end, first = len(block), _first_word(block)
    while (start := block.rfind(LINK, first, end)) >= 0 and end - start <= _LONGEST:
        if not _ALWAYS.fullmatch(_MARKS.sub("", block[start:end]).strip()):
            break
        end = start
    return block[:end]


def _without_last_words(text: str) -> str:
    end, first = len(text), _first_word(text)
    while match := _LAST_WORDS.search(text, max(first + 1, end - _TAIL), end):
        end = match.start()
    return text[:end]


def _first_word(text: str) -> int:
    return len(text) - len(text.lstrip(_SPACE_AND_MARKS))
