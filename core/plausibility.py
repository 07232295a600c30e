"""How plausible a decoded text is as something that people wrote. Pure.

Bytes read in the wrong encoding still give characters, but rare ones, in odd company: Han characters that no newspaper
prints, capitals inside words, runs of accented letters. Each character beyond ASCII is given points, from -1 to 1.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# Frequent in news about markets, in simplified and traditional writing and in Japanese.
_FREQUENT_HAN = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然"
    "家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心本前开但因只从想实日军者意无力它与长"
    "把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制"
    "身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气"
    "题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社"
    "便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格"
    "股价涨跌元亿证券银行企业投资基金市场集团股份收购增长下跌上涨利润营收季度同比预期央行利率汇率债券监管公告董事"
    "披露减持增持回购业绩亏损盈利净利警告下滑盘指数期货原油黄金美元人民币经济政策通胀降息加息贷款房地产汽车芯片半导体"
    "這個們來為國說時會對過發後裡經麼學現當沒動還進樣從實軍無與長機關點業兩間問並應戰頭體見產話給門東聲論處義幾認條"
    "氣題爾別變總電數報結場計資許統區隊決馬書聽卻界達強難權設式記類據邊張該規萬價漲跌億證券銀營創台積財務預淨獲虧損"
    "億圓円株価証券銀行業績予想修正利益純続落高値安値日経平均為替金利政策決定会社発表上方下方増減収配当自社買収"
    "全展望重挫維持不變信用房市控年增季營收庫藏宣布回購國泰金前成鴻海聯發科"
)
_FREQUENT_HANGUL = frozenset(
    "이다가의에는을를한하고지도기사로자시은대해으서리어정인수일나전아들그부보라제상비원장만구과주스거식성"
    "금률증권시장은행기준금리동결실적영업이익매출순급감경고코피닥외국인매도마감하락상승환달러유가억조원전자현대"
    "차삼성주분기목표향예치반체투자공시발표개월년코로소신조선화학생면있었했다며것으로등위호계연간세계결산"
)
# Letters of Russian, Ukrainian and Bulgarian texts by how often they come.
_CYRILLIC_POINTS = {
    letter: points for letters, points in (("оеаинтсрвлі", 1.0), ("кмдпуяыьгзбчй", 0.5)) for letter in letters
}
_RARE_LATIN = frozenset("ÐðÝýÞþ")  # Icelandic, and what the Turkish letters are in windows-1252
_TYPOGRAPHY = frozenset("“”‘’–—…€£«»•·©®™°№§\xa0")


def plausibility(text: str) -> float:
    """The mean points of the characters of `text` beyond ASCII, -1 to 1; 0 if there are none."""
    points = 0.0
    count = 0
    before = " "
    run = 0
    for character in text:
        if character > "\x7f":
            script, own = _worth(character)
            count += 1
            if script == "latin":
                run += 1
                own += _latin(before, run)
            else:
                run = 0
                other = _worth(before)[0] if before > "\x7f" else "ascii" if before.isalpha() else ""
                own -= _mixed(script, other)
                if script == "cyrillic" and character.isupper():
                    own -= 1.0 if before.islower() else 0.15 if before.isupper() else 0.0
            points += own
        else:
            if before > "\x7f" and character.isalpha():
                points -= _mixed(_worth(before)[0], "ascii")
            run = 0
        before = character
    return max(-1.0, points / count) if count else 0.0


def _latin(before: str, run: int) -> float:
    """Points of an accented letter: they stand alone among plain letters, seldom two and never three together."""
    if run >= 3:
        return -1.4
    if run == 2:
        return -0.6
    return 0.1 if before.isalpha() and before < "\x7f" else -0.1


def _mixed(script: str, other: str) -> float:
    """What a character loses for a neighbour of another script."""
    if not script or not other or script == other or {script, other} == {"han", "kana"}:
        return 0.0
    if other == "ascii":
        return 0.0 if script in ("latin", "han", "kana", "hangul") else 1.0
    return 0.5


@lru_cache(maxsize=8_192)
def _worth(character: str) -> tuple[str, float]:
    """Script ("" for signs) and points of one character beyond ASCII."""
    code = ord(character)
    if character in _TYPOGRAPHY:
        return "", 0.2
    if code < 0xA0 or code == 0xFFFD or 0xE000 <= code <= 0xF8FF:
        return "", -2.0
    if 0x3041 <= code <= 0x3096 or 0x30A1 <= code <= 0x30FC:
        return "kana", 0.9
    if 0xFF61 <= code <= 0xFF9F:
        return "kana", -0.3
    if 0x3000 <= code <= 0x301F or 0xFF01 <= code <= 0xFF5E:
        return "", 0.5
    if 0x4E00 <= code <= 0x9FFF:
        return "han", 1.0 if character in _FREQUENT_HAN else _common_han(character)
    if 0xAC00 <= code <= 0xD7A3:
        return "hangul", 1.0 if character in _FREQUENT_HANGUL else 0.4 if _encodes(character, "euc_kr") else -0.8
    if 0x400 <= code <= 0x45F:
        return "cyrillic", _CYRILLIC_POINTS.get(character.lower(), -0.5)
    if 0x370 <= code <= 0x3FF:
        return "greek", 0.8
    if 0x5D0 <= code <= 0x5EA:
        return "hebrew", 0.8
    if 0x600 <= code <= 0x6FF:
        return "arabic", 0.8 if code <= 0x652 else 0.2
    if 0xE01 <= code <= 0xE5B:
        return "thai", 0.8
    category = unicodedata.category(character)
    if category.startswith("L") and code < 0x250:
        return "latin", 0.0 if character in _RARE_LATIN else 0.4
    if category.startswith("L"):
        return "other", -0.8
    return "", -0.4


def _common_han(character: str) -> float:
    """Points of a Han character that is not among the frequent: those that the first plane of a standard holds gain."""
    for encoding, last in (("gb2312", 0xD7), ("big5", 0xC6), ("euc_jp", 0xCF)):
        try:
            if character.encode(encoding)[0] <= last:
                return 0.35
        except UnicodeEncodeError:
            continue
    return -0.5


def _encodes(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
