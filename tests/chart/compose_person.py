"""Run in a container on the daemon's own network, where the published ports are on the loopback.

`python - FRONTEND BACKEND KEY sign-up|sign-in`: does what a person does and writes what came of it
as JSON. It knows nothing of these tests: it has only Python to live on.
"""

import json
import sys
import urllib.request
from http.cookiejar import CookieJar

FRONTEND, BACKEND, KEY, WAY = sys.argv[1:]
PERSON = {"email": "ada@todo.example", "password": "correct horse battery", "name": "Ada"}

browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))


def ask(url: str, body: dict[str, object] | None = None, **headers: str) -> str:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})  # noqa: S310
    with browser.open(request, timeout=30) as answer:
        return answer.read().decode()


ask(f"{FRONTEND}/api/auth/{WAY}/email", PERSON, Origin=FRONTEND)
if WAY == "sign-up":
    ask(f"{FRONTEND}/api/tasks", {"title": "milk"}, Origin=FRONTEND)
    ask(f"{FRONTEND}/api/chat", {"conversation_id": None, "message": "add bread"}, Origin=FRONTEND)
tasks = json.loads(ask(f"{FRONTEND}/api/tasks"))
health = json.loads(ask(f"{BACKEND}/api/health"))
keyed = json.loads(ask(f"{BACKEND}/api/tasks", Authorization=f"Bearer {KEY}"))
said = {"tasks": [task["title"] for task in tasks], "health": health, "keyed": keyed}
sys.stdout.write(json.dumps(said))
