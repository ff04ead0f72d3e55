"""What a sentence about tasks can ask for.

A wish names tasks as the person did; which ones "2" or "milk" are, is for others to find.
"""

from dataclasses import dataclass
from datetime import date

from app.dates import Period
from app.task import Priority


@dataclass(frozen=True)
class Numbers:
    """Places in the list that was shown last; -1 is its last."""

    places: tuple[int, ...]


@dataclass(frozen=True)
class Named:
    """A title, or a part of one."""

    title: str


@dataclass(frozen=True)
class Latest:
    """The one that was spoken of last: "it"."""


Target = Numbers | Named | Latest


@dataclass(frozen=True)
class Add:
    title: str
    due: date | None = None
    priority: Priority | None = None


@dataclass(frozen=True)
class Show:
    completed: bool | None = False
    period: Period | None = None
    priority: Priority | None = None
    query: str | None = None


@dataclass(frozen=True)
class Complete:
    target: Target
    completed: bool = True


@dataclass(frozen=True)
class Change:
    target: Target
    title: str | None = None
    due: date | None = None
    remove_due: bool = False
    priority: Priority | None = None


@dataclass(frozen=True)
class Delete:
    target: Target


@dataclass(frozen=True)
class Help:
    """What the sentence asks for when it asks for nothing that is known."""


Wish = Add | Show | Complete | Change | Delete | Help
