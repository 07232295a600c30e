from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.encoding import codec_of, decode, detect
from core.errors import InputError

TEXTS = {
    "russian": "Нефтяная компания предупредила о падении прибыли, акции подешевели",
    "capitals": "СТРОИТЕЛЬНЫЙ ХОЛДИНГ ОТКАЗАЛСЯ ОТ ДИВИДЕНДОВ",
    "ukrainian": "Експорт зерна впав на третину, гривня зміцнилася",
    "simplified": "某汽车公司下调全年销量目标，股价跌停",
    "traditional": "半導體大廠下修全年展望，股價重挫",
    "japanese": "自動車大手、通期の業績予想を下方修正",
    "korean": "반도체 회사 영업이익 급감, 주가 하락",
    "thai": "ธนาคารกลางคงอัตราดอกเบี้ยนโยบาย",
    "greek": "Η τράπεζα ανακοίνωσε μειωμένα κέρδη τριμήνου",
    "hebrew": "הבנק הודיע על ירידה ברווח הרבעוני",
    "arabic": "تراجع أرباح البنك في الربع الثالث",
    "turkish": "Şirketin kârı düştü, hisseler yüzde 10 değer kaybetti",
    "polish": "Spółka obniżyła prognozę, a zysk spadł o połowę",
    "french": "Le bénéfice de la société a chuté, pénalisé par l’énergie",
}
LEGACY = [
    ("russian", "cp1251"),
    ("russian", "koi8-r"),
    ("russian", "iso8859-5"),
    ("capitals", "cp1251"),
    ("ukrainian", "cp1251"),
    ("ukrainian", "koi8-u"),
    ("simplified", "gbk"),
    ("simplified", "gb18030"),
    ("traditional", "big5"),
    ("japanese", "euc-jp"),
    ("japanese", "shift_jis"),
    ("japanese", "iso2022-jp"),
    ("korean", "euc-kr"),
    ("thai", "tis-620"),
    ("greek", "iso8859-7"),
    ("hebrew", "cp1255"),
    ("arabic", "cp1256"),
    ("turkish", "cp1254"),
    ("polish", "iso8859-2"),
    ("polish", "cp1250"),
    ("french", "cp1252"),
]
UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


def feed(text: str) -> str:
    item = f"<item><title>{text}</title><guid>1</guid><pubDate>Tue, 05 Mar 2024 09:30:00 GMT</pubDate></item>"
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>Desk</title>{item}</channel></rss>'


@pytest.mark.parametrize(("name", "encoding"), LEGACY)
def test_a_feed_of_one_headline_that_declares_nothing_is_read(name: str, encoding: str) -> None:
    written = feed(TEXTS[name])
    found = decode(written.encode(encoding))
    assert (found.text, found.replaced) == (written, 0)
    assert detect(written.encode(encoding)).encoding == found.encoding


@pytest.mark.parametrize(("name", "encoding"), LEGACY)
@pytest.mark.parametrize("lie", ["utf-8", "iso-8859-1", "gb2312", "utf-16", "no-such-name"])
def test_a_declaration_that_lies_is_not_believed(name: str, encoding: str, lie: str) -> None:
    written = feed(TEXTS[name])
    assert decode(written.encode(encoding), declared=[lie]).text == written


@pytest.mark.parametrize(
    ("name", "encoding", "label"),
    [
        ("simplified", "gbk", "GB2312"),
        ("japanese", "cp932", "x-sjis"),
        ("korean", "cp949", "ks_c_5601-1987"),
        ("french", "cp1252", "ISO-8859-1"),
        ("turkish", "cp1254", "iso-8859-9"),
        ("thai", "cp874", "tis-620"),
    ],
)
def test_a_declaration_that_fits_leaves_no_doubt(name: str, encoding: str, label: str) -> None:
    found = decode(TEXTS[name].encode(encoding), declared=["unknown-8bit", label])
    assert (found.text, found.doubtful) == (TEXTS[name], False)


@pytest.mark.parametrize("encoding", UNICODE)
@pytest.mark.parametrize("name", ["french", "japanese", "russian"])
@pytest.mark.parametrize("declared", [[], ["gb2312"], ["windows-1252", "utf-16"]])
def test_unicode_is_known_with_and_without_a_mark_whatever_is_declared(
    encoding: str, name: str, declared: list[str]
) -> None:
    written = feed(TEXTS[name])
    found = decode(written.encode(encoding), declared=declared)
    assert (found.text, found.doubtful, found.replaced) == (written, False, 0)
    detected = detect(written.encode(encoding)[: len(written)], declared=declared)
    assert written.encode(encoding).decode(detected.encoding) == written


def test_one_bad_byte_costs_one_character() -> None:
    data = feed(TEXTS["french"] + " coupé ").encode() + b"\xe2\x80..."
    found = decode(data, declared=["utf-8"])
    assert found.text == feed(TEXTS["french"] + " coupé ") + "\ufffd..."
    assert (found.encoding, found.doubtful, found.replaced) == ("utf-8", False, 1)


def test_a_mark_in_front_of_other_bytes_is_no_proof() -> None:
    written = feed(TEXTS["simplified"])
    assert decode(b"\xef\xbb\xbf" + written.encode("gbk")).text.lstrip("\ufeff锘縷").endswith(written[1:])
    assert decode(b"\xff\xfe" + feed(TEXTS["french"]).encode()).text.endswith(feed(TEXTS["french"]))


def test_signs_of_japanese_company_names_are_kept() -> None:
    text = "㈱日本の商社、①通期の純利益を上方修正"
    assert decode(text.encode("euc_jis_2004"), declared=["euc-jp"]).text == text


@pytest.mark.parametrize("text", ["Bank fined £5m over failings", "España crece menos", "Heat of 50° hits crops"])
def test_a_single_sign_in_plain_words_is_western(text: str) -> None:
    assert decode(text.encode("cp1252")).text == decode(text.encode("cp1252"), declared=["utf-8"]).text == text


def test_what_nobody_can_tell_is_doubtful() -> None:
    assert decode(b"caf\xe9").doubtful
    assert not decode(b"caf\xe9", declared=["iso-8859-1"]).doubtful


def test_the_operator_overrules() -> None:
    data = TEXTS["russian"].encode("koi8-r")
    assert decode(data, stated="windows-1251").text == data.decode("cp1251")
    assert decode(b"\xfe\xff" + "Acme".encode("utf-16-be"), stated="utf-16").text == "Acme"
    for wrong in ("klingon", "", " ", "rot13", "base64", "idna", "utf-7", "unicode_escape", "\x00", "x" * 10_000):
        if wrong:
            with pytest.raises(InputError, match="no encoding is called"):
                decode(b"x", stated=wrong)


def test_labels_mean_what_browsers_take_them_for() -> None:
    assert codec_of("gb2312") == codec_of(" 'GBK' ") == "gb18030"
    assert codec_of("latin1") == codec_of("us-ascii".replace("us-ascii", "ISO-8859-1")) == "cp1252"
    assert codec_of("latin2") == "iso8859-2"


def test_a_sample_may_end_within_a_character() -> None:
    data = TEXTS["japanese"].encode()
    assert detect(data[:-1]).encoding == detect(data[:-2]).encoding == "utf-8"
    assert not detect(data[:-1]).doubtful


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.lists(st.text(max_size=12), max_size=2))
def test_any_bytes_become_text(data: bytes, declared: list[str]) -> None:
    found = decode(data, declared=declared)
    assert isinstance(found.text, str)
    assert 0 <= found.replaced <= len(found.text)
    detect(data, declared=declared)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_valid_utf8_is_never_made_worse(text: str) -> None:
    if "\x00" not in text and "\x1b" not in text:
        assert decode(text.encode(), declared=["gb2312"]).text == text.removeprefix("\ufeff")
