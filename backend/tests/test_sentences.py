"""Which tools the built-in assistant calls for a sentence, as of Saturday 21 November 2026.

The person was just shown a list of three open tasks; a fourth, a done one, is not in it. What the
tools give is looked up in these tasks, nothing else is made up.
"""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.local_answers import HELP, Step, Turn, proceed
from app.sentences import LONGEST_SENTENCE

TODAY = date(2026, 11, 21)
DOCUMENT = Path(__file__).parents[2] / "docs" / "assistant.md"


def task(number: int, title: str, **other: Any) -> dict[str, Any]:
    return {
        "id": number,
        "title": title,
        "due": None,
        "priority": "medium",
        "completed": False,
    } | other


TASKS = [
    task(11, "milk", due="2026-11-22"),
    task(12, "call mum", priority="high"),
    task(13, "monthly report"),
    task(14, "rent", completed=True),
]
SHOWN = {"tasks": TASKS[:3], "more": False}
EARLIER = [
    Turn("add monthly report", [Step("add_task", TASKS[2])]),
    Turn("what is left?", [Step("list_tasks", SHOWN)]),
]


def output(name: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """What the tool would give for these tasks."""
    if name != "list_tasks":
        return next((one for one in TASKS if one["id"] == arguments.get("task_id")), TASKS[0])
    found = [
        one
        for one in TASKS
        if one["completed"] == arguments.get("completed", one["completed"])
        and arguments.get("query", "").lower() in one["title"]
    ]
    return {"tasks": found, "more": False}


def conversation(sentence: str, before: list[Turn]) -> tuple[str, str]:
    """The calls for the sentence, as they are written in the tables, and what is said then."""
    turn, rounds = Turn(sentence), []
    while not isinstance(decided := proceed([*before, turn], TODAY), str):
        rounds.append(", ".join(written(call.name, call.arguments) for call in decided))
        turn.steps += [Step(call.name, output(call.name, call.arguments)) for call in decided]
        assert len(rounds) < 4
    return ", then ".join(rounds), decided


def written(name: str, arguments: dict[str, Any]) -> str:
    listed = ", ".join(f"{key}={value!r}".replace("'", '"') for key, value in arguments.items())
    return f"{name}({listed})"


ROWS = {
    # Adding
    "add milk": 'add_task(title="milk")',
    "Add milk.": 'add_task(title="milk")',
    "add milk for tomorrow": 'add_task(title="milk", due="2026-11-22")',
    "please add buy bread to my list by friday, high priority": (
        'add_task(title="buy bread", due="2026-11-27", priority="high")'
    ),
    "Could you add eggs please?": 'add_task(title="eggs")',
    "add call mum friday": 'add_task(title="call mum", due="2026-11-27")',
    "add report due next monday priority low": (
        'add_task(title="report", due="2026-11-23", priority="low")'
    ),
    "create a task called water the plants tomorrow": (
        'add_task(title="water the plants", due="2026-11-22")'
    ),
    "create a high priority task to file taxes by 2027-04-15": (
        'add_task(title="file taxes", due="2027-04-15", priority="high")'
    ),
    "new task: read a book": 'add_task(title="read a book")',
    "todo: read a book": 'add_task(title="read a book")',
    "remind me to call mum on friday high priority": (
        'add_task(title="call mum", due="2026-11-27", priority="high")'
    ),
    "remind me on friday to call dad": 'add_task(title="call dad", due="2026-11-27")',
    "remind me to pay rent in two weeks": 'add_task(title="pay rent", due="2026-12-05")',
    "I need to buy a gift by 24 december": 'add_task(title="buy a gift", due="2026-12-24")',
    "don’t forget to lock the door": 'add_task(title="lock the door")',  # noqa: RUF001
    "add fix the sink, urgent": 'add_task(title="fix the sink", priority="high")',
    # Quotes keep what they hold; a day alone is a title.
    'add "call mum tomorrow" for monday': 'add_task(title="call mum tomorrow", due="2026-11-23")',
    "add tomorrow": 'add_task(title="tomorrow")',
    # A day that there is not, and a number of milk bottles.
    "add milk for 30 february": 'add_task(title="milk for 30 february")',
    "add 2 bottles of milk": 'add_task(title="2 bottles of milk")',
    # Listing
    "what is left?": "list_tasks(completed=False)",
    "What’s left": "list_tasks(completed=False)",  # noqa: RUF001
    "what do I have to do?": "list_tasks(completed=False)",
    "list": "list_tasks(completed=False)",
    "show me my tasks": "list_tasks(completed=False)",
    "tasks": "list_tasks(completed=False)",
    "how many tasks are open?": "list_tasks(completed=False)",
    "show done": "list_tasks(completed=True)",
    "what have I done?": "list_tasks(completed=True)",
    "show all tasks": "list_tasks()",
    "what do I have to do today?": (
        'list_tasks(completed=False, due_from="2026-11-21", due_until="2026-11-21")'
    ),
    "what's due tomorrow?": (
        'list_tasks(completed=False, due_from="2026-11-22", due_until="2026-11-22")'
    ),
    "what is due this week": (
        'list_tasks(completed=False, due_from="2026-11-16", due_until="2026-11-22")'
    ),
    "show everything due by friday": 'list_tasks(completed=False, due_until="2026-11-27")',
    "what is overdue?": 'list_tasks(completed=False, due_until="2026-11-20")',
    "show high priority tasks": 'list_tasks(completed=False, priority="high")',
    "what is urgent?": 'list_tasks(completed=False, priority="high")',
    "find milk": 'list_tasks(query="milk")',
    "do I have anything about rent?": 'list_tasks(query="rent")',
    # Completing
    "done with 2": "complete_task(task_id=12)",
    "done with 1, 2 and 3": (
        "complete_task(task_id=11), complete_task(task_id=12), complete_task(task_id=13)"
    ),
    "done with 2 and 2": "complete_task(task_id=12)",
    "complete task 3": "complete_task(task_id=13)",
    "mark #2 as done": "complete_task(task_id=12)",
    "2 is done": "complete_task(task_id=12)",
    "check off the first one": "complete_task(task_id=11)",
    "done with the last one": "complete_task(task_id=13)",
    "done with it": "complete_task(task_id=13)",
    "finish milk": 'list_tasks(completed=False, query="milk"), then complete_task(task_id=11)',
    "I finished the report": (
        'list_tasks(completed=False, query="report"), then complete_task(task_id=13)'
    ),
    "Milk is done": 'list_tasks(completed=False, query="Milk"), then complete_task(task_id=11)',
    "finish bread": 'list_tasks(completed=False, query="bread")',
    "finish m": 'list_tasks(completed=False, query="m")',
    "done with 4": "",
    "done with 0": "",
    # Opening again
    "reopen 2": "complete_task(task_id=12, completed=False)",
    "2 is not done": "complete_task(task_id=12, completed=False)",
    "mark rent as not done": (
        'list_tasks(completed=True, query="rent"), then complete_task(task_id=14, completed=False)'
    ),
    # Changing
    "rename 2 to call dad": 'update_task(task_id=12, title="call dad")',
    "rename 2 to go to the shop": 'update_task(task_id=12, title="go to the shop")',
    "rename call mum to call dad": (
        'list_tasks(query="call mum"), then update_task(task_id=12, title="call dad")'
    ),
    "change the title of 1 to oat milk": 'update_task(task_id=11, title="oat milk")',
    "move 3 to monday": 'update_task(task_id=13, due="2026-11-23")',
    "postpone milk until next week": (
        'list_tasks(query="milk"), then update_task(task_id=11, due="2026-11-23")'
    ),
    "move it to tomorrow": 'update_task(task_id=13, due="2026-11-22")',
    "2 is due friday": 'update_task(task_id=12, due="2026-11-27")',
    "set the due date of 2 to 2026-12-24": 'update_task(task_id=12, due="2026-12-24")',
    "remove the due date of 1": "update_task(task_id=11, remove_due=True)",
    "make 2 high priority": 'update_task(task_id=12, priority="high")',
    "make 1 and 2 low priority": (
        'update_task(task_id=11, priority="low"), update_task(task_id=12, priority="low")'
    ),
    "make it urgent": 'update_task(task_id=13, priority="high")',
    "set the priority of 3 to low": 'update_task(task_id=13, priority="low")',
    # Deleting
    "delete 2": "delete_task(task_id=12)",
    "remove milk from my list": 'list_tasks(query="milk"), then delete_task(task_id=11)',
    "delete the last one": "delete_task(task_id=13)",
    "delete it": "delete_task(task_id=13)",
    "delete m": 'list_tasks(query="m")',
    # What is no wish of these
    "hello": "",
    "help": "",
    "what can you do?": "",
    "sing a song": "",
    "add": "",
    "delete": "",
    "mark as done": "",
    "": "",
}


@pytest.mark.parametrize(("sentence", "calls"), ROWS.items())
def test_a_sentence_calls_tools(sentence: str, calls: str) -> None:
    assert conversation(sentence, EARLIER)[0] == calls


def documented() -> dict[str, str]:
    """The rows of the document's table: a sentence, and what is called for it."""
    rows = re.findall(r"^\| “(.+?)” \| `(.+)` \|$", DOCUMENT.read_text(), re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize(("sentence", "calls"), documented().items())
def test_the_document_says_what_is_called(sentence: str, calls: str) -> None:
    assert conversation(sentence, EARLIER)[0] == calls


def test_the_document_has_a_row_for_each_tool() -> None:
    called = set(re.findall(r"\w+_tasks?", " ".join(documented().values())))
    assert called == {"add_task", "list_tasks", "update_task", "complete_task", "delete_task"}


@pytest.mark.parametrize("sentence", ["hello", "sing a song", "x" * (LONGEST_SENTENCE + 1)])
def test_what_is_not_understood_is_answered_with_help(sentence: str) -> None:
    assert conversation(sentence, EARLIER) == ("", HELP)


@pytest.mark.parametrize(
    ("sentence", "answer"),
    [
        ("add milk for tomorrow", "Added “milk”, due tomorrow (Sun 22 Nov)."),
        ("done with 2", "Done: “call mum”."),
        ("reopen 2", "Open again: “call mum”."),
        ("delete 3", "Deleted “monthly report”."),
        ("make 2 high priority", "Changed: “call mum”, high priority."),
        ("done with 1 and 3", "Done: “milk”.\nDone: “monthly report”."),
        ("done with 4", "The list that I showed last has 3 tasks: there is no 4."),
        ("finish bread", "You have no open task with “bread” in its title."),
        ("find bread", "You have no tasks with “bread” in the title."),
        (
            "finish m",
            "Which one? Please say it again with its number:\n"
            "1. milk, due tomorrow (Sun 22 Nov)\n2. call mum, high priority\n3. monthly report",
        ),
        (
            "show all tasks",
            "You have 4 tasks:\n1. milk, due tomorrow (Sun 22 Nov)\n2. call mum, high priority\n"
            "3. monthly report\n4. rent (done)\n\n"
            "Say a number of this list to mean a task, as in “done with 1”.",
        ),
    ],
)
def test_what_is_said_comes_from_what_the_tools_gave(sentence: str, answer: str) -> None:
    assert conversation(sentence, EARLIER)[1] == answer


def test_a_number_means_nothing_before_a_list_was_shown() -> None:
    calls, said = conversation("delete 2", before=[])
    assert calls == "list_tasks(completed=False)"
    assert said.startswith("Numbers mean a list that I have shown.")
    assert "2. call mum" in said


def test_a_list_that_was_looked_up_and_acted_on_was_not_shown() -> None:
    looked = [Step("list_tasks", {"tasks": [TASKS[2]], "more": False})]
    acted = Turn("finish report", [*looked, Step("complete_task", TASKS[2])])
    assert conversation("done with 2", [*EARLIER, acted])[0] == "complete_task(task_id=12)"


def test_it_is_nothing_before_anything_was_spoken_of() -> None:
    calls, said = conversation("delete it", before=[])
    assert (calls, "which task" in said) == ("", True)


@pytest.mark.parametrize("sentence", ["done with 2", "delete 2", "move 2 to monday"])
def test_a_tool_that_fails_is_said_to(sentence: str) -> None:
    name = proceed([*EARLIER, Turn(sentence)], TODAY)[0].name
    failed = Turn(sentence, [Step(name, None)])
    assert proceed([*EARLIER, failed], TODAY) == "That task is no longer there."


def test_a_title_that_is_too_long_is_refused_before_a_tool_is_called() -> None:
    calls, said = conversation("add " + "x" * 201, EARLIER)
    assert (calls, "at most 200" in said) == ("", True)
