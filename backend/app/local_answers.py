"""What the built-in assistant does next: call tools, or say something.

It decides from the conversation alone: what the person said, which tools were called since and
what they gave. Numbers mean the places in the list that the conversation showed last, so that they
stay what the person sees, whoever adds or completes tasks meanwhile.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from app.dates import spoken
from app.sentences import understand
from app.task import LONGEST_TITLE
from app.wishes import Add, Change, Complete, Delete, Help, Latest, Named, Numbers, Show

HELP = """\
I look after your tasks. You can say, for example:
- add milk for tomorrow
- remind me to call mum on friday, high priority
- what is left? / what is due this week? / show done
- done with 2 / finish milk
- move 3 to monday / make 2 high priority / rename 2 to oat milk
- delete 2
Numbers are those of the list that I showed last."""

_HINT = "Say a number of this list to mean a task, as in “done with 1”."


@dataclass(frozen=True)
class Call:
    """A tool to be called."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A tool that was called, and what it gave; None when it failed."""

    name: str
    output: dict[str, Any] | None


@dataclass
class Turn:
    """What the person said, and what was done about it so far."""

    said: str
    steps: list[Step] = field(default_factory=list)


Doing = Complete | Change | Delete


def proceed(turns: list[Turn], today: date) -> list[Call] | str:
    """Answer the last of the turns, one step further."""
    turn, before = turns[-1], turns[:-1]
    match understand(turn.said, today):
        case Help():
            return HELP
        case Add() as wish:
            return _add(wish, turn, today)
        case Show() as wish:
            return _shown(wish, turn.steps[-1], today) if turn.steps else [_list_call(wish)]
        case wish:
            if any(step.name != "list_tasks" for step in turn.steps):
                return "\n".join(_did(wish, step, today) for step in turn.steps[_looked_up(turn) :])
            return _do(wish, turn, before, today)


def _add(wish: Add, turn: Turn, today: date) -> list[Call] | str:
    if len(wish.title) > LONGEST_TITLE:
        return f"That title is too long: it can have at most {LONGEST_TITLE} characters."
    if not turn.steps:
        arguments: dict[str, Any] = {"title": wish.title}
        if wish.due:
            arguments["due"] = wish.due.isoformat()
        if wish.priority:
            arguments["priority"] = wish.priority.value
        return [Call("add_task", arguments)]
    added = turn.steps[-1].output
    return f"Added {_described(added, today)}." if added else "I could not add that task."


def _list_call(wish: Show) -> Call:
    arguments: dict[str, Any] = {}
    if wish.completed is not None:
        arguments["completed"] = wish.completed
    if wish.period and wish.period.first:
        arguments["due_from"] = wish.period.first.isoformat()
    if wish.period and wish.period.last:
        arguments["due_until"] = wish.period.last.isoformat()
    if wish.priority:
        arguments["priority"] = wish.priority.value
    if wish.query:
        arguments["query"] = wish.query
    return Call("list_tasks", arguments)


def _shown(wish: Show, step: Step, today: date) -> str:
    if step.output is None:
        return "I could not list your tasks."
    tasks = step.output["tasks"]
    state = {True: "done ", False: "open ", None: ""}[wish.completed]
    priority = f"{wish.priority.value}-priority " if wish.priority else ""
    noun = f"{priority}{state}task{'' if len(tasks) == 1 else 's'}"
    which = f" that {'is' if len(tasks) == 1 else 'are'} {wish.period.name}" if wish.period else ""
    which += f" with “{wish.query}” in the title" if wish.query else ""
    if not tasks:
        return f"You have no {noun}{which}."
    count = f"more than {len(tasks)}" if step.output["more"] else len(tasks)
    mixed = wish.completed is None
    return f"You have {count} {noun}{which}:\n{_numbered(tasks, today, mixed=mixed)}\n\n{_HINT}"


def _do(wish: Doing, turn: Turn, before: list[Turn], today: date) -> list[Call] | str:
    """Find the tasks that are meant, then act on them."""
    if isinstance(wish, Change) and wish.title and len(wish.title) > LONGEST_TITLE:
        return f"That title is too long: it can have at most {LONGEST_TITLE} characters."
    listed = turn.steps[-1].output if turn.steps else None
    if turn.steps and listed is None:
        return "I could not look at your tasks."
    match wish.target:
        case Numbers(places):
            return _do_numbers(wish, places, _last_shown(before), listed, today)
        case Latest():
            latest = _latest(before)
            if latest is None:
                return "I do not know which task you mean. Say its title, or ask “what is left?”."
            return [_call(wish, latest)]
        case Named(title):
            if listed is None:
                return [_list_call(_search(wish, title))]
            return _do_named(wish, title, listed["tasks"], today)


def _do_numbers(
    wish: Doing,
    places: tuple[int, ...],
    shown: list[int] | None,
    listed: dict[str, Any] | None,
    today: date,
) -> list[Call] | str:
    if shown is None and listed is None:
        # What the person sees elsewhere may be in another order: show it before touching it.
        return [
            Call("list_tasks", {"completed": isinstance(wish, Complete) and not wish.completed})
        ]
    if shown is None and listed is not None:
        if not listed["tasks"]:
            return "There is no task that this could mean."
        return (
            "Numbers mean a list that I have shown. This is it now; please say it again:\n"
            + _numbered(listed["tasks"], today)
        )
    known = shown or []
    found = [known[place - 1 if place > 0 else place] for place in places if place <= len(known)]
    missing = [str(place) for place in places if place == 0 or place > len(known)]
    if missing:
        size = f"{len(known)} task{'' if len(known) == 1 else 's'}"
        return f"The list that I showed last has {size}: there is no {' or '.join(missing)}."
    return [_call(wish, task_id) for task_id in dict.fromkeys(found)]


def _search(wish: Doing, title: str) -> Show:
    """Only open tasks can be completed, and only done ones be opened again."""
    return Show(not wish.completed if isinstance(wish, Complete) else None, query=title)


def _do_named(
    wish: Doing, title: str, tasks: list[dict[str, Any]], today: date
) -> list[Call] | str:
    exact = [task for task in tasks if task["title"].casefold() == title.casefold()]
    meant = exact or tasks
    if len(meant) == 1:
        return [_call(wish, meant[0]["id"])]
    if not meant:
        state = (
            {True: "open ", False: "done "}[wish.completed] if isinstance(wish, Complete) else ""
        )
        return f"You have no {state}task with “{title}” in its title."
    # All that the search gave, since that is the list that numbers will mean.
    return f"Which one? Please say it again with its number:\n{_numbered(tasks, today, mixed=True)}"


def _call(wish: Doing, task_id: int) -> Call:
    match wish:
        case Complete(completed=completed):
            state = {} if completed else {"completed": False}
            return Call("complete_task", {"task_id": task_id} | state)
        case Delete():
            return Call("delete_task", {"task_id": task_id})
        case Change():
            arguments: dict[str, Any] = {"task_id": task_id}
            if wish.title:
                arguments["title"] = wish.title
            if wish.due:
                arguments["due"] = wish.due.isoformat()
            if wish.remove_due:
                arguments["remove_due"] = True
            if wish.priority:
                arguments["priority"] = wish.priority.value
            return Call("update_task", arguments)


def _did(wish: Doing, step: Step, today: date) -> str:
    task = step.output
    if task is None:
        return "That task is no longer there."
    match wish:
        case Complete(completed=completed):
            return f"{'Done' if completed else 'Open again'}: “{task['title']}”."
        case Delete():
            return f"Deleted “{task['title']}”."
        case Change():
            return f"Changed: {_described(task, today)}."


def _looked_up(turn: Turn) -> int:
    """How many of the turn's steps only looked for the task."""
    return sum(step.name == "list_tasks" for step in turn.steps)


def _last_shown(turns: list[Turn]) -> list[int] | None:
    """The ids of the list that was shown last. One that only led to another call was not."""
    for turn in reversed(turns):
        last = turn.steps[-1] if turn.steps else None
        if last and last.name == "list_tasks" and last.output and last.output["tasks"]:
            return [task["id"] for task in last.output["tasks"]]
    return None


def _latest(turns: list[Turn]) -> int | None:
    """The task that was last added, changed or completed."""
    for turn in reversed(turns):
        for step in reversed(turn.steps):
            if step.name not in {"list_tasks", "delete_task"} and step.output:
                return int(step.output["id"])
    return None


def _numbered(tasks: list[dict[str, Any]], today: date, *, mixed: bool = False) -> str:
    lines = []
    for place, task in enumerate(tasks, start=1):
        state = " (done)" if mixed and task["completed"] else ""
        lines.append(f"{place}. {task['title']}{_details(task, today)}{state}")
    return "\n".join(lines)


def _described(task: dict[str, Any], today: date) -> str:
    return f"“{task['title']}”{_details(task, today)}"


def _details(task: dict[str, Any], today: date) -> str:
    due = f", due {spoken(date.fromisoformat(task['due']), today)}" if task["due"] else ""
    return due + (f", {task['priority']} priority" if task["priority"] != "medium" else "")
