"""Days in plain English, as of Saturday 21 November 2026."""

from datetime import date

import pytest

from app.dates import day, period, spoken

TODAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("phrase", "meant"),
    [
        ("today", "2026-11-21"),
        ("Tonight", "2026-11-21"),
        ("tomorrow", "2026-11-22"),
        ("the day after tomorrow", "2026-11-23"),
        ("yesterday", "2026-11-20"),
        ("sunday", "2026-11-22"),
        ("this sunday", "2026-11-22"),
        ("Fri", "2026-11-27"),
        # Never today, which one says by its name.
        ("saturday", "2026-11-28"),
        ("next saturday", "2026-11-28"),
        ("next monday", "2026-11-23"),
        ("next week", "2026-11-23"),
        ("next month", "2026-12-01"),
        ("weekend", "2026-11-21"),
        ("next weekend", "2026-11-28"),
        ("the end of the week", "2026-11-22"),
        ("end of month", "2026-11-30"),
        ("end of the year", "2026-12-31"),
        ("in 3 days", "2026-11-24"),
        ("in a week", "2026-11-28"),
        ("in two weeks", "2026-12-05"),
        ("in twelve months", "2027-11-21"),
        ("2027-02-28", "2027-02-28"),
        ("5 december", "2026-12-05"),
        ("the 5th of Dec, 2028", "2028-12-05"),
        ("december 24th", "2026-12-24"),
        ("Sept. 1", "2027-09-01"),
        # The next one that there is.
        ("1 january", "2027-01-01"),
        ("29 february", "2028-02-29"),
        # No days at all.
        ("30 february", None),
        ("2026-13-01", None),
        ("2026-02-30", None),
        ("31 april 2027", None),
        ("in 999 milks", None),
        ("milk", None),
        ("", None),
    ],
)
def test_a_phrase_means_a_day(phrase: str, meant: str | None) -> None:
    assert day(phrase, TODAY) == (date.fromisoformat(meant) if meant else None)


def test_a_month_later_is_never_a_day_of_the_month_after() -> None:
    assert day("in a month", date(2027, 1, 31)) == date(2027, 2, 28)
    assert day("in 999 months", date(9990, 1, 1)) is None


@pytest.mark.parametrize(
    ("phrase", "first", "last", "name"),
    [
        ("this week", "2026-11-16", "2026-11-22", "due this week"),
        ("next week", "2026-11-23", "2026-11-29", "due next week"),
        ("this month", "2026-11-01", "2026-11-30", "due this month"),
        ("overdue", None, "2026-11-20", "overdue"),
        ("tomorrow", "2026-11-22", "2026-11-22", "due tomorrow (Sun 22 Nov)"),
        ("on friday", "2026-11-27", "2026-11-27", "due Fri 27 Nov"),
        ("until friday", None, "2026-11-27", "due by Fri 27 Nov"),
        ("before friday", None, "2026-11-26", "due by Thu 26 Nov"),
    ],
)
def test_a_phrase_means_a_period(phrase: str, first: str | None, last: str, name: str) -> None:
    found = period(phrase, TODAY)
    assert found is not None
    assert (found.first and found.first.isoformat(), str(found.last), found.name) == (
        first,
        last,
        name,
    )


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        (date(2026, 11, 21), "today (Sat 21 Nov)"),
        (date(2026, 11, 20), "yesterday (Fri 20 Nov)"),
        (date(2026, 11, 30), "Mon 30 Nov"),
        (date(2027, 1, 1), "Fri 1 Jan 2027"),
    ],
)
def test_a_day_is_named(moment: date, name: str) -> None:
    assert spoken(moment, TODAY) == name
