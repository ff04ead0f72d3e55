"""Uses a deployed application as many people at once, and prints how long it took to answer.

    python3 bench/app.py http://ADDRESS SEED

How many people, tasks and chats, and what is wanted, is in targets.json. SEED is a command that
reads SQL from its standard input and has the application's database carry it out: by it each of
the people gets tasks before anything is measured. Then every one of them makes a request each
second for half a minute, chats, and at last many answers of the assistant are read at the same
time. Prints a table of docs/performance.md. Needs nothing but Python's own library. Ends with 1 if
any request was not answered rightly, or took longer than wanted.
"""

import http.client
import json
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

# The origin that the application is configured for, whatever way leads to it here.
ORIGIN = "http://localhost:30080"
SECONDS, CHATS = 30, 5
TARGETS = json.loads(Path(__file__).with_name("targets.json").read_text())

failures: list[str] = []
took: dict[str, list[float]] = {}
lock = threading.Lock()


class Person:
    def __init__(self, address: str, number: int) -> None:
        self.address = urlsplit(address).netloc
        self.cookie = ""
        self.number = number
        email = f"bench-{number}-{time.time_ns()}@example.com"
        body = {"email": email, "password": "correct horse battery", "name": "Bench"}
        response, text = self.request("POST", "/api/auth/sign-up/email", body)
        if response.status != 200:
            sys.exit(f"sign-up: {response.status} {text}")
        set_cookies = response.headers.get_all("Set-Cookie", [])
        self.cookie = "; ".join(cookie.split(";")[0] for cookie in set_cookies)
        self.user = json.loads(text)["user"]["id"]

    def request(
        self, method: str, path: str, body: object = None, first: list[float] | None = None
    ) -> tuple[http.client.HTTPResponse, str]:
        """An answer and its text. `first` gets the moment at which its first piece was there."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        headers = {"Host": "localhost:30080", "Origin": ORIGIN, "Content-Type": "application/json"}
        if self.cookie:
            headers["Cookie"] = self.cookie
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            pieces = []
            while piece := response.read1():
                if first is not None and not first and b"event: delta" in piece:
                    first.append(time.monotonic())
                pieces.append(piece)
            return response, b"".join(pieces).decode()
        finally:
            connection.close()

    def timed(self, name: str, method: str, path: str, body: object = None) -> object:
        begun = time.monotonic()
        try:
            response, text = self.request(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            return fail(f"{name}: {error!r}")
        if response.status >= 300:
            return fail(f"{name}: {response.status} {text[:200]}")
        note(name, time.monotonic() - begun)
        return json.loads(text) if text else None

    def chat(self, name: str, message: str) -> None:
        begun = time.monotonic()
        first: list[float] = []
        body = {"conversation_id": None, "message": message}
        try:
            response, text = self.request("POST", "/api/chat", body, first)
        except (OSError, http.client.HTTPException) as error:
            return fail(f"{name}: {error!r}")
        if response.status != 200 or "event: done" not in text:
            return fail(f"{name}: {response.status} {text[-200:]}")
        note(f"{name}: first words", first[0] - begun)
        note(f"{name}: whole answer", time.monotonic() - begun)

    def manages_tasks(self) -> None:
        """A request a second: what somebody does who works fast."""
        end = time.monotonic() + SECONDS
        mine: list[int] = []
        count = 0
        while time.monotonic() < end:
            begun = time.monotonic()
            kind = count % 5
            if kind == 0:
                made = self.timed("adding a task", "POST", "/api/tasks", {"title": f"task {count}"})
                if made:
                    mine.append(made["id"])
            elif kind in (1, 3):
                self.timed("listing tasks", "GET", "/api/tasks?sort=due")
            elif kind == 2:
                self.timed("searching tasks", "GET", "/api/tasks?q=number%2099")
            elif mine:
                change = {"completed": count % 2 == 0}
                self.timed("changing a task", "PATCH", f"/api/tasks/{mine[-1]}", change)
            count += 1
            time.sleep(max(0.0, begun + 1 - time.monotonic()))

    def chats(self) -> None:
        for count in range(CHATS):
            begun = time.monotonic()
            self.chat("a chat with one tool call", f"add milk {count} for tomorrow")
            time.sleep(max(0.0, begun + 1 - time.monotonic()))


def fail(text: str) -> None:
    with lock:
        failures.append(text)


def note(name: str, seconds: float) -> None:
    with lock:
        took.setdefault(name, []).append(seconds)


def at_once(jobs: list) -> float:
    """Runs all of them side by side; the seconds until the last has ended."""
    begun = time.monotonic()
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - begun


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def shown(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def main() -> None:
    address, seed = sys.argv[1:]
    people = [Person(address, number) for number in range(TARGETS["people"])]
    for person in people:
        # Makes the application know them, and their first token.
        person.timed("first request after signing up", "GET", "/api/tasks")
    users = ", ".join(f"('{person.user}')" for person in people)
    subprocess.run(
        shlex.split(seed),
        input=f"""INSERT INTO task (user_id, title, due, priority, completed)
            SELECT users.id, 'task number ' || number, current_date + number % 30,
                (ARRAY['low', 'medium', 'high'])[1 + number % 3], number % 4 = 0
            FROM (VALUES {users}) AS users (id), generate_series(1, {TARGETS["tasks"]}) AS number;
            ANALYZE task;\n""",
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    at_once([person.manages_tasks for person in people])
    at_once([person.chats for person in people])
    readers = [people[number % len(people)] for number in range(TARGETS["chats"])]
    at_once_name = f"{len(readers)} chats at once"
    end = at_once(
        [lambda person=person: person.chat(at_once_name, "what is left?") for person in readers]
    )
    missed = 0

    def row(name: str, figures: list[str], figure: float, target: float | None) -> None:
        nonlocal missed
        wanted = "" if target is None else shown(target)
        if target is not None and figure > target:
            missed += 1
            wanted += ", **missed**"
        print("|", " | ".join([name, *figures, wanted]), "|")

    print("| what | count | median | 95th percentile | most | wanted |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, values in took.items():
        figures = [str(len(values)), *(shown(percentile(values, at)) for at in (0.5, 0.95, 1))]
        row(name, figures, percentile(values, 0.95), TARGETS["95th percentile"].get(name))
    ended = "chats at once: the last has ended"
    row(f"{len(readers)} {ended}", ["", "", "", shown(end)], end, TARGETS["longest"][ended])
    print(f"\n{len(failures)} requests failed.")
    for failure in failures[:10]:
        print(f"    {failure}")
    # What was never measured meets no target.
    unknown = [name for name in TARGETS["95th percentile"] if name not in took]
    sys.exit(1 if failures or missed or unknown else 0)


main()
