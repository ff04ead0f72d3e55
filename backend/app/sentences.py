"""Plain sentences about tasks, read into what they ask for.

It knows English and dates. It knows no tasks: which one "2" or "milk" is, is for others to find.
"""

import re
from datetime import date

from app.dates import DAY, Period, day, period
from app.task import Priority
from app.wishes import (
    Add,
    Change,
    Complete,
    Delete,
    Help,
    Latest,
    Named,
    Numbers,
    Show,
    Target,
    Wish,
)

# What is longer is a letter; no task's title is.
LONGEST_SENTENCE = 500

_LEVELS = {
    "low": Priority.LOW,
    "medium": Priority.MEDIUM,
    "normal": Priority.MEDIUM,
    "high": Priority.HIGH,
    "top": Priority.HIGH,
    "urgent": Priority.HIGH,
}
_LEVEL = "|".join(_LEVELS)
_PRIORITY = rf"(?:{_LEVEL})[- ]priority|priority:? (?:{_LEVEL})"
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
_NUMBER = rf"#?\d{{1,6}}|(?:the )?(?:{'|'.join(_ORDINALS)})(?: (?:one|task))?"
_NOUN = r"(?:tasks?|to-?dos?|items?|reminders?|things?)"
_BEFORE_NUMBER = re.compile(
    rf"^(?:the |my )?(?:{_NOUN} )?(?:numbers? |nos?\. ?|nr\.? ?)?(?=#?\d)", re.IGNORECASE
)
_TO_MY_LIST = r"(?: (?:to|on|in|from|off) (?:my|the|our)(?: (?:to-?do|task))?(?: list|s)?)"

_POLITE_BEFORE = re.compile(
    r"^(?:(?:please|pls|hey|hi|hello|ok|okay|now|then|and|also|just|so)\b[,!]?\s+"
    r"|(?:can|could|would|will) you (?:please )?"
    r"|i(?:'d| would) like (?:you )?to |i want (?:you )?to |let'?s )+",
    re.IGNORECASE,
)
_PLAIN_QUOTES = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}
_POLITE_AFTER = re.compile(r"[\s,]+(?:please|pls|thanks|thank you|for me)$", re.IGNORECASE)


def understand(sentence: str, today: date) -> Wish:
    """What the sentence asks for."""
    if len(sentence) > LONGEST_SENTENCE:
        return Help()
    text = " ".join(sentence.split()).translate(_PLAIN_QUOTES)
    while text != (shorter := _POLITE_AFTER.sub("", text.rstrip(" .!?;"))):
        text = shorter
    text = _POLITE_BEFORE.sub("", text)
    for read in (_reopen, _complete, _delete, _change, _add, _show):
        if (wish := read(text, today)) is not None:
            return wish
    return Help()


def _match(pattern: str, text: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, text, re.IGNORECASE)


def _reopen(text: str, _today: date) -> Wish | None:
    found = (
        _match(r"(?:re-?open|un-?do|un-?check|un-?tick|un-?complete|restore) (?P<t>.+)", text)
        or _match(
            r"(?:mark|set) (?P<t>.+?) (?:as |to )?(?:not done|open|undone|incomplete|unfinished)",
            text,
        )
        or _match(r"(?P<t>.+?) (?:is|are) (?:not|n't) (?:done|finished|completed?)(?: yet)?", text)
    )
    return Complete(_target(found["t"]), completed=False) if found else None


def _complete(text: str, _today: date) -> Wish | None:
    found = (
        _match(
            r"(?:mark|set|check|tick) (?!as )(?P<t>.+?) (?:as |to )?(?:done|completed?|finished)",
            text,
        )
        or _match(r"(?:check|tick|cross) off (?P<t>.+)", text)
        or _match(r"(?:check|tick|cross) (?P<t>.+) off", text)
        or _match(
            r"(?:i(?:'m| am|'ve| have)? )?(?:done|finish(?:ed)?|completed?)(?: with|:)? (?P<t>.+)",
            text,
        )
        or _match(r"(?!what)(?P<t>.+?) (?:is|are) (?:done|finished|completed?)(?: now)?", text)
    )
    return Complete(_target(found["t"])) if found else None


def _delete(text: str, _today: date) -> Wish | None:
    found = _match(
        r"(?:delete|remove|drop|cancel|erase|get rid of|throw away) (?P<t>.+?)" + _TO_MY_LIST + "?",
        text,
    )
    if found is None or _match(r"the (?:due )?date (?:of|from) .+", found["t"]):
        return None
    return Delete(_target(found["t"]))


def _change(text: str, today: date) -> Wish | None:
    return (
        _change_of_title(text) or _change_of_priority(text) or _change_of_due(text, today) or None
    )


def _change_of_title(text: str) -> Wish | None:
    found = _match(
        rf"(?:rename|retitle) (?P<t>{_NUMBER}|it|that|\".+?\") (?:to|as|into) (?P<new>.+)", text
    )
    # Titles hold "to" as well: the last one parts the old title from the new.
    found = found or _match(r"(?:rename|retitle) (?P<t>.+) (?:to|as|into) (?P<new>.+)", text)
    found = found or _match(r"(?:change|set) the (?:title|name) of (?P<t>.+?) to (?P<new>.+)", text)
    return Change(_target(found["t"]), title=_unquoted(found["new"])) if found else None


def _change_of_priority(text: str) -> Wish | None:
    level = rf"(?P<level>{_LEVEL})"
    found = (
        _match(
            rf"(?:make|set|mark|change|give|move) (?P<t>.+?) (?:to |as |a )?{level}[- ]priority",
            text,
        )
        or _match(rf"(?:make|mark) (?P<t>.+?) (?:as )?{level}", text)
        or _match(rf"(?:set|change|make) the priority of (?P<t>.+?) (?:to )?{level}", text)
        or _match(rf"(?:set|change) (?P<t>.+?) to (?:priority )?{level}", text)
        or _match(rf"(?P<t>{_NUMBER}|it|that) (?:is|has) (?:a )?{level}(?:[- ]priority)?", text)
        or _match(rf"priority of (?P<t>.+?):? (?:is |to )?{level}", text)
    )
    if found is None:
        return None
    return Change(_target(found["t"]), priority=_LEVELS[found["level"].lower()])


def _change_of_due(text: str, today: date) -> Wish | None:
    found = _match(
        r"(?:remove|clear|delete|drop) the (?:due )?date (?:of|from) (?P<t>.+)", text
    ) or _match(r"(?P<t>.+) has no due date", text)
    if found:
        return Change(_target(found["t"]), remove_due=True)
    found = (
        _match(
            rf"(?:set|change|move) the (?:due )?date of (?P<t>.+?) (?:to|for) (?P<d>{DAY})", text
        )
        or _match(
            r"(?:move|postpone|reschedule|push|shift|delay|defer|set|change|make|schedule) "
            rf"(?P<t>.+?) (?:(?:back )?(?:to|until|till|for|by|due|on)(?: on)? )?(?P<d>{DAY})",
            text,
        )
        or _match(rf"(?!what)(?P<t>.+?) (?:is|are) due (?:on |by )?(?P<d>{DAY})", text)
    )
    due = day(found["d"], today) if found else None
    return Change(_target(found["t"]), due=due) if found and due else None


def _add(text: str, today: date) -> Wish | None:
    found = (
        _match(
            r"(?:add|create|new|note(?: down)?|put|write down|plan|schedule)\b:? ?"
            rf"(?:(?:(?:an?|the|another|new) )*(?P<p>(?:{_LEVEL})[- ]priority )?"
            rf"(?:new )?{_NOUN}\b(?::| called| named| to|,)? ?)?"
            r"(?P<title>.+)",
            text,
        )
        or _match(
            r"(?:remind me|i (?:also )?(?:need|have|ought)|i've got|remember"
            r"|don'?t (?:let me )?forget) (?:to|about) (?P<title>.+)",
            text,
        )
        or _match(r"remind me (?P<title>.+)", text)
        or _match(r"i (?:must|should) (?P<title>.+)", text)
        or _match(rf"{_NOUN}: ?(?P<title>.+)", text)
    )
    if found is None or _match(_NOUN, found["title"]):
        return None
    title, due, priority = _details(found["title"], today)
    if (named := found.groupdict().get("p")) is not None:
        priority = priority or _LEVELS[re.split("[- ]", named.lower())[0]]
    return Add(title, due, priority)


def _details(text: str, today: date) -> tuple[str, date | None, Priority | None]:
    """Part a title from the due date and the priority that stand around it."""
    due: date | None = None
    priority: Priority | None = None
    while True:
        if found := _match(rf"(?P<rest>.+?){_TO_MY_LIST}", text):
            text = found["rest"]
        elif priority is None and (
            found := _match(
                rf"(?P<rest>.+?),? (?:(?:with|at|as|and) )?(?:an? )?(?P<p>{_PRIORITY})", text
            )
            or _match(r"(?P<rest>.+?)(?:,| -) (?P<p>urgent(?:ly)?)", text)
            or _match(rf"(?P<p>{_PRIORITY})[:,]? (?P<rest>.+)", text)
        ):
            text = found["rest"]
            words = re.findall(_LEVEL, found["p"].lower())
            priority = _LEVELS[words[0]]
        elif due is None and (
            (
                found := _match(
                    r"(?P<rest>.+?),? (?:\(?(?:that is |which is )?"
                    rf"(?:due|for|by|on|until|before|at)(?: (?:by|on))? )?(?P<d>{DAY})\)?",
                    text,
                )
                or _match(rf"(?:for |on |by )?(?P<d>{DAY})[:,]? (?:to )?(?P<rest>.+)", text)
            )
            and (moment := day(found["d"], today))
        ):
            text, due = found["rest"], moment
        else:
            # "remind me on Friday to call" leaves the "to".
            return _unquoted(text.strip(" ,:").removeprefix("to ")), due, priority


def _show(text: str, today: date) -> Wish | None:
    if _match(r"(?:what|which|how) (?:else )?(?:can|do) (?:you|i say).*|what is this.*", text):
        return Help()
    found = _match(
        r"(?:what|which|how many|list|show|see|display|view|tell me|give me|any(?:thing)?|all|my"
        r"|do i|is there|are there|open|done|completed?|finished|overdue|find|search|look for"
        rf"|{_NOUN})\b.*"
        r"|what's .*|whats .*",
        text,
    )
    if found is None:
        return None
    lower = text.lower()
    completed: bool | None = False
    if re.search(r"\b(?:done|finish(?:ed)?|completed?|did i do)\b", lower):
        completed = True
    elif re.search(r"\b(?:all|everything)\b(?! (?:open|due|overdue))", lower):
        completed = None
    wanted = re.search(rf"\b({_LEVEL})[- ]priority\b|\bpriority ({_LEVEL})\b|\b(urgent)\b", lower)
    priority = _LEVELS[next(filter(None, wanted.groups()))] if wanted else None
    query = _match(
        r"(?:find|search(?: for)?|look for) (?:my |the )?(?P<q>.+)"
        r"|.*? (?:about|containing|named|called|matching|with the word) (?P<q2>.+)",
        text,
    )
    if query is not None:
        return Show(
            None if completed is False else completed,
            None,
            priority,
            _unquoted(query["q"] or query["q2"]),
        )
    return Show(completed, _period_in(lower, today), priority)


def _period_in(text: str, today: date) -> Period | None:
    found = re.search(
        r"\b(?:overdue|late|this week|next week|this month"
        rf"|(?:(?:until|till|by|before|on) )?(?:{DAY}))\b",
        text,
    )
    return period(found[0], today) if found else None


def _target(text: str) -> Target:
    """Which task is meant."""
    plain = _BEFORE_NUMBER.sub("", text.strip())
    if _match(rf"(?:{_NUMBER})(?:(?:,? and |, ?| & | )(?:{_NUMBER}))*", plain):
        words = re.findall(rf"\d+|{'|'.join(_ORDINALS)}", plain.lower())
        return Numbers(tuple(_ORDINALS.get(word) or int(word) for word in words))
    if _match(r"it|that|this|that one|this one|the same", plain):
        return Latest()
    named = _match(rf"(?:the |my )?(?P<a>.+?)(?: {_NOUN})?", plain)
    quoted = _match(r'(?:the )?(?:task )?"(.+)"', plain)
    return Named(quoted[1] if quoted else named["a"] if named else plain)


def _unquoted(text: str) -> str:
    found = _match(r"\"(.+)\"|'(.+)'", text)
    return (found[1] or found[2]).strip() if found else text.strip()
