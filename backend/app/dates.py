"""Days in plain English: read from a phrase, and put into one.

Everything is relative to a `today` that is given. Weeks begin on Monday.
"""

import re
from calendar import day_abbr, day_name, month_abbr, month_name, monthrange
from dataclasses import dataclass
from datetime import MAXYEAR, date, timedelta

_NUMBERS = [
    *("one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
]
_WEEKDAYS = {
    name.lower(): number for names in (day_name, day_abbr) for number, name in enumerate(names)
} | {"tues": 1, "weds": 2, "thur": 3, "thurs": 3}
_MONTHS = {
    name.lower(): number
    for names in (month_name, month_abbr)
    for number, name in enumerate(names)
    if name
} | {"sept": 9}

_DAY = "(?:" + "|".join(sorted(_WEEKDAYS, key=len, reverse=True)) + ")"
_MONTH = "(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\.?"
_COUNT = rf"(?:\d{{1,3}}|an?|{'|'.join(_NUMBERS)})"
_ORDINAL = r"\d{1,2}(?:st|nd|rd|th)?"

# What `day` understands, as one expression without groups.
DAY = "|".join(
    [
        r"\d{4}-\d{2}-\d{2}",
        r"(?:the )?day after tomorrow",
        r"today|tonight|tomorrow|yesterday",
        rf"(?:this |next |coming )?{_DAY}",
        r"next (?:week|month)",
        r"(?:this |the |next )?weekend",
        r"(?:the )?end of (?:the |this )?(?:week|month|year)",
        rf"in {_COUNT} (?:days?|weeks?|months?)",
        rf"(?:the )?{_ORDINAL}(?: of)? {_MONTH}(?:,? \d{{4}})?",
        rf"{_MONTH} {_ORDINAL}(?:,? \d{{4}})?",
    ]
)


@dataclass(frozen=True)
class Period:
    """Days from the first to the last, both included; None is open."""

    first: date | None
    last: date | None
    name: str


def day(phrase: str, today: date) -> date | None:
    """The day that the phrase means, or None when it means none."""
    words = " ".join(phrase.lower().replace(",", " ").split()).removeprefix("the ")
    try:
        return _day(words, today)
    except (OverflowError, ValueError):
        # The 30th of February, or a day after the last year that there is.
        return None


def _day(words: str, today: date) -> date | None:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", words):
        return date.fromisoformat(words)
    near = {"today": 0, "tonight": 0, "tomorrow": 1, "day after tomorrow": 2, "yesterday": -1}
    if words in near:
        return today + timedelta(days=near[words])
    monday = today - timedelta(days=today.weekday())
    match words.split():
        case ["next", "week"]:
            return monday + timedelta(weeks=1)
        case ["next", "month"]:
            return _months_later(today.replace(day=1), 1)
        case ["next", "weekend"]:
            return monday + timedelta(weeks=1, days=5)
        case ["this", "weekend"] | ["weekend"]:
            return max(today, monday + timedelta(days=5))
        case ["end", "of", *_, "week"]:
            return monday + timedelta(days=6)
        case ["end", "of", *_, "month"]:
            return _months_later(today.replace(day=1), 1) - timedelta(days=1)
        case ["end", "of", *_, "year"]:
            return date(today.year, 12, 31)
        case ["next", weekday] if weekday in _WEEKDAYS:
            return monday + timedelta(weeks=1, days=_WEEKDAYS[weekday])
        case [weekday] | ["this" | "coming", weekday] if weekday in _WEEKDAYS:
            # Never today, which one says by its name.
            return today + timedelta(days=(_WEEKDAYS[weekday] - today.weekday() - 1) % 7 + 1)
        case ["in", count, unit]:
            return _later(today, count, unit)
    return _of_month(words, today)


def _later(today: date, count: str, unit: str) -> date | None:
    if count in {"a", "an"}:
        number = 1
    elif count in _NUMBERS:
        number = _NUMBERS.index(count) + 1
    elif count.isdecimal():
        number = int(count)
    else:
        return None
    match unit.removesuffix("s"):
        case "day":
            return today + timedelta(days=number)
        case "week":
            return today + timedelta(weeks=number)
        case "month":
            return _months_later(today, number)
    return None


def _months_later(start: date, number: int) -> date:
    """The same day of a later month, or that month's last day when it is shorter."""
    year, month = divmod(start.year * 12 + start.month - 1 + number, 12)
    length = monthrange(year, month + 1)[1]
    return date(year, month + 1, min(start.day, length))


def _of_month(words: str, today: date) -> date | None:
    """A day of a month; without a year, the next one that is not past."""
    found = re.fullmatch(
        rf"(?:(?P<d1>{_ORDINAL})(?: of)? (?P<m1>{_MONTH})|(?P<m2>{_MONTH}) (?P<d2>{_ORDINAL}))"
        r"(?: (?P<year>\d{4}))?",
        words,
    )
    if found is None:
        return None
    number = int(re.sub(r"\D", "", found["d1"] or found["d2"]))
    month = _MONTHS[(found["m1"] or found["m2"]).removesuffix(".")]
    if found["year"]:
        return date(int(found["year"]), month, number)
    # The 29th of February may be some years away.
    for year in range(today.year, min(today.year + 9, MAXYEAR + 1)):
        try:
            candidate = date(year, month, number)
        except ValueError:
            continue
        if candidate >= today:
            return candidate
    return None


def period(phrase: str, today: date) -> Period | None:
    """The days that a phrase of a question means: "this week", "overdue", "until friday"."""
    words = " ".join(phrase.lower().split())
    monday = today - timedelta(days=today.weekday())
    match words:
        case "overdue" | "late":
            return Period(None, today - timedelta(days=1), "overdue")
        case "this week":
            return Period(monday, monday + timedelta(days=6), "due this week")
        case "next week":
            next_monday = monday + timedelta(weeks=1)
            return Period(next_monday, next_monday + timedelta(days=6), "due next week")
        case "this month":
            first = today.replace(day=1)
            return Period(first, _months_later(first, 1) - timedelta(days=1), "due this month")
    before = re.match(r"(?:until|till|by|before) ", words)
    found = day(words[before.end() :] if before else words.removeprefix("on "), today)
    if found is None:
        return None
    if before is None:
        return Period(found, found, f"due {spoken(found, today)}")
    last = found - timedelta(days=words.startswith("before "))
    return Period(None, last, f"due by {spoken(last, today)}")


def spoken(moment: date, today: date) -> str:
    """How a day is named in an answer: "tomorrow (Sun 22 Nov)", "Fri 27 Nov", "Fri 1 Jan 2027"."""
    name = f"{day_abbr[moment.weekday()]} {moment.day} {month_abbr[moment.month]}"
    if moment.year != today.year:
        name += f" {moment.year}"
    near = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get((moment - today).days)
    return f"{near} ({name})" if near else name
