"""Names of time zones as dates carry them: abbreviations, names in words, names of the IANA database. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from core.errors import InputError

# Hours east of UTC. Names that several countries use mean what financial news mean by them most often: BST is British
# Summer Time, IST India, CST and AST North America, GST the Gulf. `zone_named` prefers the zone stated for the input.
_HOURS: dict[str, float] = {
    "UTC": 0,
    "UT": 0,
    "GMT": 0,
    "Z": 0,
    "ZULU": 0,
    "WET": 0,
    "WEST": 1,
    "BST": 1,
    "CET": 1,
    "MEZ": 1,
    "MET": 1,
    "WAT": 1,
    "CEST": 2,
    "MEST": 2,
    "MESZ": 2,
    "EET": 2,
    "OEZ": 2,
    "CAT": 2,
    "SAST": 2,
    "EEST": 3,
    "OESZ": 3,
    "MSK": 3,
    "МСК": 3,
    "TRT": 3,
    "EAT": 3,
    "IDT": 3,
    "MSD": 4,
    "GST": 4,
    "IRST": 3.5,
    "AFT": 4.5,
    "PKT": 5,
    "IST": 5.5,
    "NPT": 5.75,
    "MMT": 6.5,
    "ICT": 7,
    "WIB": 7,
    "HKT": 8,
    "SGT": 8,
    "MYT": 8,
    "PHT": 8,
    "AWST": 8,
    "WITA": 8,
    "JST": 9,
    "KST": 9,
    "WIT": 9,
    "ACST": 9.5,
    "ACDT": 10.5,
    "AEST": 10,
    "AEDT": 11,
    "NZST": 12,
    "NZDT": 13,
    "BRT": -3,
    "ART": -3,
    "CLT": -4,
    "CLST": -3,
    "COT": -5,
    "PET": -5,
    "NST": -3.5,
    "NDT": -2.5,
    "AST": -4,
    "ADT": -3,
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "AKST": -9,
    "AKDT": -8,
    "HST": -10,
}
# Names of a region's time, summer or winter, and names in words.
_REGIONS = {
    "ET": "America/New_York",
    "CT": "America/Chicago",
    "MT": "America/Denver",
    "PT": "America/Los_Angeles",
    "EASTERN TIME": "America/New_York",
    "CENTRAL TIME": "America/Chicago",
    "MOUNTAIN TIME": "America/Denver",
    "PACIFIC TIME": "America/Los_Angeles",
    "CENTRAL EUROPEAN TIME": "Europe/Berlin",
    "UK TIME": "Europe/London",
    "LONDON TIME": "Europe/London",
    "NEW YORK TIME": "America/New_York",
    "MOSCOW TIME": "Europe/Moscow",
    "BEIJING TIME": "Asia/Shanghai",
    "北京时间": "Asia/Shanghai",
    "北京時間": "Asia/Shanghai",
    "香港時間": "Asia/Hong_Kong",
    "香港时间": "Asia/Hong_Kong",
    "台北時間": "Asia/Taipei",
    "日本時間": "Asia/Tokyo",
    "한국시간": "Asia/Seoul",
}
_WORDS = {
    "COORDINATED UNIVERSAL TIME": "UTC",
    "GREENWICH MEAN TIME": "GMT",
    "BRITISH SUMMER TIME": "BST",
    "EASTERN STANDARD TIME": "EST",
    "EASTERN DAYLIGHT TIME": "EDT",
    "CENTRAL STANDARD TIME": "CST",
    "CENTRAL DAYLIGHT TIME": "CDT",
    "MOUNTAIN STANDARD TIME": "MST",
    "MOUNTAIN DAYLIGHT TIME": "MDT",
    "PACIFIC STANDARD TIME": "PST",
    "PACIFIC DAYLIGHT TIME": "PDT",
    "INDIA STANDARD TIME": "IST",
    "CENTRAL EUROPEAN STANDARD TIME": "CET",
    "CENTRAL EUROPEAN SUMMER TIME": "CEST",
    "MITTELEUROPÄISCHE ZEIT": "CET",
    "MITTELEUROPÄISCHE SOMMERZEIT": "CEST",
    "CHINA STANDARD TIME": "HKT",
    "HONG KONG STANDARD TIME": "HKT",
    "SINGAPORE STANDARD TIME": "SGT",
    "JAPAN STANDARD TIME": "JST",
    "KOREA STANDARD TIME": "KST",
    "KOREAN STANDARD TIME": "KST",
}
_IANA = re.compile(r"[A-Za-z_]{2,20}(?:/[A-Za-z0-9_+-]{1,20}){1,2}|[A-Z]{3}\d[A-Z]{3}")
_OFFSET = re.compile(r"(?:UTC|GMT|UT|Z)?([+-])(\d{1,2})(?::?([0-5]\d)(?::?[0-5]\d)?)?", re.IGNORECASE)
_LARGEST_OFFSET = timedelta(hours=14)


def zone_named(name: str, moment: datetime, stated: tzinfo = UTC) -> tzinfo | None:
    """The zone that `name` means at the naive `moment`; None for an unknown name.

    A name that the zone `stated` for the whole input uses itself at that moment means that zone (CST in Shanghai).
    """
    key = " ".join(name.upper().split())
    if stated is not UTC and stated.tzname(moment) == key:
        return stated
    key = _WORDS.get(key, key)
    if key in _HOURS:
        return timezone(timedelta(hours=_HOURS[key]))
    if key in _REGIONS:
        return _iana(_REGIONS[key])
    return _iana(name) if _IANA.fullmatch(name) else None


def zone_of_offset(token: str) -> tzinfo | None:
    """The zone of an offset such as +0200, +02:00, +2, GMT+2 or UTC-05:30; None for what is none."""
    match = _OFFSET.fullmatch(token)
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if offset > _LARGEST_OFFSET:
        return None
    return timezone(-offset if sign == "-" else offset)


def time_zone(name: str) -> tzinfo:
    """The zone that an operator states: a name of the IANA database, an offset or a known abbreviation.

    Raises InputError for an unknown name.
    """
    zone = zone_of_offset(name) or _iana(name) or zone_named(name, datetime(2000, 1, 1))
    if zone is None:
        raise InputError(
            f"the time zone {name[:60]!r} is not known; write a name such as Europe/Berlin or America/New_York, "
            "or an offset such as +02:00"
        )
    return zone


@lru_cache(maxsize=512)
def _iana(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
