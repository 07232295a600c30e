"""Words of dates in the main languages: names of months and of weekdays. Pure."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_MONTHS = """
january february march april may june july august september october november december
januar februar marz april mai juni juli august september oktober november dezember
janner feber maerz - - - - - sept - - -
janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro
januari februari maart april mei juni juli augustus september oktober november december
- - mrt - - - - - setiembre - - -
- - mrz - - - - - - - - -
январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь
января февраля марта апреля мая июня июля августа сентября октября ноября декабря
styczen luty marzec kwiecien maj czerwiec lipiec sierpien wrzesien pazdziernik listopad grudzien
stycznia lutego marca kwietnia maja czerwca lipca sierpnia wrzesnia pazdziernika listopada grudnia
ocak subat mart nisan mayis haziran temmuz agustos eylul ekim kasim aralik
januari februari mars april maj juni juli augusti september oktober november december
januar februar marts april maj juni juli august september oktober november december
januari februari maret april mei juni juli agustus september oktober november desember
leden unor brezen duben kveten cerven cervenec srpen zari rijen listopad prosinec
ledna unora brezna dubna kvetna cervna cervence srpna zari rijna listopadu prosince
januar februar marcius aprilis majus junius julius augusztus szeptember oktober november december
ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie decembrie
ιανουαριου φεβρουαριου μαρτιου απριλιου μαιου ιουνιου ιουλιου αυγουστου σεπτεμβριου οκτωβριου νοεμβριου δεκεμβριου
січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня
يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر
جانفي فيفري مارس أفريل ماي جوان جويلية أوت سبتمبر أكتوبر نوفمبر ديسمبر
ינואר פברואר מרץ אפריל מאי יוני יולי אוגוסט ספטמבר אוקטובר נובמבר דצמבר
"""
# Not abbreviated: "mar" is March.
_MONTHS_IN_FULL = """
tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesakuuta - - - - - -
- - - - - - heinakuuta elokuuta syyskuuta lokakuuta marraskuuta joulukuuta
"""
_WEEKDAYS = """
monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun
montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag
lundi mardi mercredi jeudi vendredi samedi dimanche
lunes martes miercoles jueves viernes sabado domingo
lunedi martedi mercoledi giovedi venerdi sabato domenica
segunda-feira terca-feira quarta-feira quinta-feira sexta-feira
maandag dinsdag woensdag donderdag vrijdag zaterdag zondag
понедельник вторник среда четверг пятница суббота воскресенье пн вт ср чт пт сб вс
poniedziałek wtorek sroda czwartek piątek sobota niedziela
pazartesi sali carsamba persembe cuma cumartesi pazar
"""
_FEWEST_LETTERS = 3
_PLAIN = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "ß": "ss"})


def fold(word: str) -> str:
    """`word` in lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).translate(_PLAIN)


def _numbered(months: str) -> dict[str, int]:
    names: dict[str, int] = {}
    for line in months.split("\n"):
        for number, name in enumerate(line.split(), start=1):
            if name != "-":
                names[fold(name)] = number
    return names


_NUMBERS = _numbered(_MONTHS)
_NUMBERS_IN_FULL = _numbered(_MONTHS_IN_FULL)
_DAYS = frozenset(fold(name) for name in _WEEKDAYS.split())


@lru_cache(maxsize=1024)
def month_number(word: str) -> int | None:
    """The month, 1 to 12, that `word` names or abbreviates (3 letters at least) in any of the languages, else None.

    An abbreviation that languages read as different months ("jui" of juin and juillet) names none.
    """
    plain = fold(word)
    number = _NUMBERS.get(plain) or _NUMBERS_IN_FULL.get(plain)
    if number is not None:
        return number
    if len(plain) < _FEWEST_LETTERS:
        return None
    found = {number for name, number in _NUMBERS.items() if name.startswith(plain)}
    return found.pop() if len(found) == 1 else None


def is_weekday(word: str) -> bool:
    """Whether `word` is the name of a day of the week."""
    plain = fold(word)
    return plain in _DAYS or plain.endswith(("曜日", "曜", "요일")) or plain.startswith(("周", "週", "星期", "礼拜"))
