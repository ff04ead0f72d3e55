"""Numbers that two parts have to agree on, of which neither can read the other's."""

import json
import re

import yaml

from chart import CHART, ROOT


def number(path: str, name: str) -> float:
    """The number that a constant of the file has, the unit in its name taken to seconds."""
    found = re.findall(
        rf"^(?:const )?{name}_(MS|SECONDS) = ([0-9_.]+);?$", (ROOT / path).read_text(), re.MULTILINE
    )
    assert len(found) == 1, f"{path} has one {name}"
    [(unit, text)] = found
    return float(text) / (1000 if unit == "MS" else 1)


def test_a_page_hears_of_a_thinking_model_before_it_takes_the_connection_for_lost() -> None:
    says = number("backend/app/event_stream.py", "SILENCE")
    waits = number("frontend/lib/client/answer.ts", "SILENCE")
    assert 2 * says < waits, "one comment may come late"
    # What proxies of others wait for.
    assert says < 30
    assert f"a comment every {says:.0f} seconds" in (ROOT / "docs/assistant.md").read_text()


def test_an_answer_has_its_time_before_the_page_gives_up_to_look_for_it() -> None:
    page = number("frontend/lib/client/answer.ts", "PATIENCE")
    assert page >= number("backend/app/conversation_store.py", "ANSWER")


def test_a_key_is_published_for_as_long_as_the_backend_believes_its_tokens() -> None:
    published = number("frontend/lib/server/auth.ts", "LEEWAY")
    assert published > number("backend/app/tokens.py", "LEEWAY")


def test_the_origins_that_the_chart_trusts_are_those_that_the_sign_in_is_tested_with() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    test = (ROOT / "frontend/tests/auth.test.ts").read_text()
    assert re.findall(r'\bTRUSTED_ORIGINS: "(.+)",$', test, re.MULTILINE) == [
        values["config"]["TRUSTED_ORIGINS"]
    ]


def test_what_is_wanted_of_the_application_is_what_its_document_says() -> None:
    targets = json.loads((ROOT / "bench/targets.json").read_text())
    text = (ROOT / "docs/performance.md").read_text()
    people, tasks, chats = targets["people"], targets["tasks"], targets["chats"]
    assert f"{people} people use it at the same time, each has {tasks:,} tasks" in text
    assert f"at last {chats} of its answers are streamed" in text

    said: dict[str, set[float]] = {}
    for row in re.findall(r"^\| (.+) \|$", text, re.MULTILINE):
        what, *_, wanted = (cell.strip(" |") for cell in f"{row} ".split("| "))
        if amount := re.match(r"([0-9.]+) (ms|s)\b", wanted):
            name = what.removeprefix(f"{chats} ").split(", ")[0]
            scale = 1000 if amount[2] == "ms" else 1
            said.setdefault(name, set()).add(float(amount[1]) / scale)
    # A name may have a comma of its own.
    limits = targets["95th percentile"] | targets["longest"]
    assert said == {name: {float(limit)} for name, limit in limits.items()}
