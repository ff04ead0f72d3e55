"""Run where the application is: does what a person does, and writes what came of it as JSON.

`python - FRONTEND BACKEND KEY sign-up|sign-in|COOKIE`, with the addresses of both, MCP_API_KEY, and
either how to come in or the cookie of somebody who is in already. It knows nothing of the tests: it
has only Python to live on.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from http.cookiejar import CookieJar

FRONTEND, BACKEND, KEY, WAY = sys.argv[1:]
PERSON = {"email": "ada@todo.example", "password": "correct horse battery", "name": "Ada"}

jar = CookieJar()
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))


def ask(url: str, body: dict[str, object] | None = None, **headers: str) -> str:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})  # noqa: S310
    with browser.open(request, timeout=30) as answer:
        return answer.read().decode()


def reached(url: str) -> bool:
    try:
        ask(url)
    except urllib.error.URLError:
        return False
    return True


# Pods are ready a moment before every node knows where a Service leads.
limit = time.monotonic() + 30
while not (reached(f"{FRONTEND}/sign-in") and reached(f"{BACKEND}/api/health")):
    if time.monotonic() > limit:
        sys.exit(f"{FRONTEND} or {BACKEND} is not reached")
shown = {}
if WAY in {"sign-up", "sign-in"}:
    ask(f"{FRONTEND}/api/auth/{WAY}/email", PERSON, Origin=FRONTEND)
else:
    shown = {"Cookie": WAY}
if WAY == "sign-up":
    ask(f"{FRONTEND}/api/tasks", {"title": "milk"}, Origin=FRONTEND)
    ask(f"{FRONTEND}/api/chat", {"conversation_id": None, "message": "add bread"}, Origin=FRONTEND)
tasks = json.loads(ask(f"{FRONTEND}/api/tasks", **shown))
said = {
    "tasks": [task["title"] for task in tasks],
    "health": json.loads(ask(f"{BACKEND}/api/health")),
    "keyed": json.loads(ask(f"{BACKEND}/api/tasks", Authorization=f"Bearer {KEY}")),
    "cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar),
}
sys.stdout.write(json.dumps(said))
