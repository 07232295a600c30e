"""The language of a text, as an ISO 639-1 code: what its source states, unless the text itself says otherwise.

The answer follows from the text and the statement alone, so every worker and every replay finds the same. It is
cautious: a message that is wrongly taken for one in a language that no model reads loses its label, so a text is of
another language than English only where the evidence is clear, and of none where it is not. The evidence is the script,
and within the Latin script the log-likelihoods of a naive Bayes classifier over byte n-grams (Lui and Baldwin 2012,
langid.py), restricted to the languages that financial news is written in: the full list mistakes headlines full of
tickers for rare ones.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from core.scripts import NOT_LATIN, languages_of_script

ENGLISH = "en"  # the language of most messages: what is meant where nobody names one
LATIN = (
    *("cs", "da", "de", "en", "es", "et", "fi", "fr", "hr", "hu", "id", "it", "lt", "lv", "ms", "nl", "no", "pl", "pt"),
    *("ro", "sk", "sl", "sv", "tr", "vi"),
)
_ALIASES = {"in": "id", "iw": "he", "ji": "yi", "nb": "no", "nn": "no", "cmn": "zh", "yue": "zh", "mo": "ro"}
# Codes of ISO 639-2, both where a language has two (`ger`, `deu`), and those of two letters for the same languages.
_THREE_LETTERS = (
    "aar:aa abk:ab afr:af aka:ak alb:sq amh:am ara:ar arg:an arm:hy asm:as ava:av ave:ae aym:ay aze:az bak:ba bam:bm "
    "baq:eu bel:be ben:bn bih:bh bis:bi bod:bo bos:bs bre:br bul:bg bur:my cat:ca ces:cs cha:ch che:ce chi:zh chu:cu "
    "chv:cv cor:kw cos:co cre:cr cym:cy cze:cs dan:da deu:de div:dv dut:nl dzo:dz ell:el eng:en epo:eo est:et eus:eu "
    "ewe:ee fao:fo fas:fa fij:fj fin:fi fra:fr fre:fr fry:fy ful:ff geo:ka ger:de gla:gd gle:ga glg:gl glv:gv gre:el "
    "grn:gn guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu hye:hy ibo:ig ice:is ido:io iii:ii iku:iu "
    "ile:ie ina:ia ind:id ipk:ik isl:is ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kat:ka kau:kr kaz:kk khm:km kik:ki "
    "kin:rw kir:ky kom:kv kon:kg kor:ko kua:kj kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu lug:lg "
    "mac:mk mah:mh mal:ml mao:mi mar:mr may:ms mkd:mk mlg:mg mlt:mt mon:mn mri:mi msa:ms mya:my nau:na nav:nv nbl:nr "
    "nde:nd ndo:ng nep:ne nld:nl nno:nn nob:nb nor:no nya:ny oci:oc oji:oj ori:or orm:om oss:os pan:pa per:fa pli:pi "
    "pol:pl por:pt pus:ps que:qu roh:rm ron:ro rum:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slo:sk slv:sl sme:se "
    "smo:sm sna:sn snd:sd som:so sot:st spa:es sqi:sq srd:sc srp:sr ssw:ss sun:su swa:sw swe:sv tah:ty tam:ta tat:tt "
    "tel:te tgk:tg tgl:tl tha:th tib:bo tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz "
    "ven:ve vie:vi vol:vo wel:cy wln:wa wol:wo xho:xh yid:yi yor:yo zha:za zho:zh zul:zu"
)
_TWO_LETTERS = dict(pair.split(":") for pair in _THREE_LETTERS.split())
_CODE = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9_-]{1,16})?", re.IGNORECASE)
_NO_LANGUAGE = ("und", "mul", "zxx", "mis", "qaa")

_READ_CHARACTERS = 300  # more text costs time and changes nothing
_FEWEST_LETTERS = 12
_FEWEST_WIDE_LETTERS = 4  # scripts from Thai and Hangul on to Han say more in a letter
_NOT_PROSE = re.compile(r"(?:https?://|www\.)\S*|[@$#][\w.]+|\d+")
_LETTERS = re.compile(r"[^\W\d_]+")
# How much likelier, in nats, a text must be in another language than in English: alone, and against the statement that
# it is English. And how much likelier in English than in a language that its source states.
_MARGIN, _MARGIN_AGAINST = 12.0, 20.0
_MARGIN_ENGLISH = 6.0
# Foreign names weigh much in a headline, these words tell what it is written in: each makes up for so many nats, and
# that many settle it.
_WORD_NATS, _WORDS_ENOUGH = 12.0, 3
_WORDS = re.compile("[a-z]+")
_ENGLISH_WORDS = (
    "about after all and announces are before but companies company cuts declares down drops earnings falls from "
    "gains gets growth has have her higher his how launches losses lower markets more new news off our over "
    "prices profits quarter raised raises reports results revenue rise rises sales said say says see sell share "
    "shares she than that the their they this today upgraded upgrade downgraded week what when who why will with "
    "year years you your"
)
_TELLING_WORDS = frozenset(_ENGLISH_WORDS.split())


def language_code(stated: str) -> str:
    """The code in a statement such as "en", "zh-CN", "pt_BR" or "eng"; "" for none."""
    match = _CODE.fullmatch(stated.strip())
    code = match[1].lower() if match else ""
    code = _TWO_LETTERS.get(code, code)
    return "" if code in _NO_LANGUAGE else _ALIASES.get(code, code)


def language_of(text: str, stated: str = "") -> str:
    """The code of the language that `text` is written in; "" if it is too short or too mixed to tell. Pure and total.

    `stated`: the code that its source gives, or an earlier answer for the same text, which does not change it.
    """
    prose = _NOT_PROSE.sub(" ", text[: 2 * _READ_CHARACTERS])[:_READ_CHARACTERS]
    letters = sum(map(len, _LETTERS.findall(prose)))
    if letters < _FEWEST_LETTERS and (letters < _FEWEST_WIDE_LETTERS or max(prose) < "\u0e00"):
        return stated
    written = languages_of_script(prose)
    if written:
        return stated if stated in written else written[0]
    if letters < _FEWEST_LETTERS:
        return stated
    return _of_latin(prose, stated)


def languages_of(texts: Sequence[str], least: float = 0.05) -> list[str]:
    """The languages that a share of `least` or more of the `texts` is in, the commonest first; English where no text
    tells."""
    counts = Counter(code for text in texts if (code := language_of(text)))
    return [code for code, count in counts.most_common() if count >= least * counts.total()] or [ENGLISH]


def _of_latin(prose: str, stated: str) -> str:
    other, lead = _lead(prose)
    if stated and stated != ENGLISH and stated not in NOT_LATIN:
        return ENGLISH if lead < -_MARGIN_ENGLISH else stated
    if lead > (_MARGIN_AGAINST if stated == ENGLISH else _MARGIN):
        return other
    return ENGLISH if stated == ENGLISH or lead < 0 else ""


def _lead(prose: str) -> tuple[str, float]:
    """The likeliest language but English, and how much likelier than English it is, in nats."""
    words = len(_TELLING_WORDS.intersection(_WORDS.findall(prose.lower())))
    if words >= _WORDS_ENOUGH:
        return "", -math.inf
    likelihoods = dict(_identifier().rank(prose))
    english = likelihoods.pop(ENGLISH)
    other = max(likelihoods, key=lambda code: likelihoods[code])
    return other, likelihoods[other] - english - _WORD_NATS * words


@cache
def _identifier() -> Any:
    # Imported late: its model takes 0.7 s and 60 MB, and a text whose script tells its language needs neither.
    import numpy as np
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(LATIN)
    # Its table comes as half floats in column order, which costs a fifth of the time of each text.
    identifier.nb_ptc = np.ascontiguousarray(identifier.nb_ptc, dtype=np.float32)
    return identifier
