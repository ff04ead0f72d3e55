"""What becomes of data that is there already when secrets change and when databases are switched.

Installed for real, one replica each, in a namespace of its own.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chart import CHART, Helm, Object, RefusedError, helms
from cluster import Cluster
from compose import Compose

KEY, FIRST, SECOND = "data-test-key", "data-test-" + "1" * 32, "data-test-" + "2" * 32
TASKS = ["milk", "bread"]
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}

# A PostgreSQL that the release knows nothing of; its data goes with it.
ELSEWHERE = "postgresql://todo:elsewhere@elsewhere/todo"
ELSEWHERE_OBJECTS = """
apiVersion: v1
kind: Pod
metadata: { name: elsewhere, labels: { app: elsewhere } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: postgres
      image: postgres:17
      imagePullPolicy: IfNotPresent
      resources: { requests: { cpu: 10m, memory: 64Mi } }
      volumeMounts: [{ name: run, mountPath: /var/run/postgresql }]
      env:
        - { name: POSTGRES_USER, value: todo }
        - { name: POSTGRES_PASSWORD, value: elsewhere }
        - { name: PGDATA, value: /var/lib/postgresql/data/pgdata }
      readinessProbe:
        exec: { command: [pg_isready, --quiet, --host=127.0.0.1] }
        periodSeconds: 1
  volumes: [{ name: run, emptyDir: {} }]
---
apiVersion: v1
kind: Service
metadata: { name: elsewhere }
spec:
  selector: { app: elsewhere }
  ports: [{ port: 5432 }]
"""

# Tries a password where the backend runs, and says whether PostgreSQL takes it.
LOG_IN = """
import asyncio, sys, asyncpg
known = {"host": "todo-postgres", "user": "todo", "database": "todo"}
try:
    asyncio.run(asyncpg.connect(**known, password=sys.argv[1]))
    print("taken")
except asyncpg.InvalidPasswordError:
    print("refused")
"""


class Installed:
    """A release `todo`, and a person who has used it."""

    def __init__(self, cluster: Cluster, images: dict[str, str]) -> None:
        self.cluster = cluster
        self._helm = Helm(helms()[0])
        self._values: Object = {
            name: {
                "replicas": 1,
                "image": {"repository": image, "tag": "latest"},
                "resources": SMALL,
            }
            for name, image in images.items()
        }
        self._values["postgres"] = {"resources": SMALL, "storage": "64Mi"}
        self._values["frontend"]["service"] = {"type": "ClusterIP", "nodePort": None}
        self._values["config"] = {"CORS_ORIGINS": "http://todo-frontend"}

    def helm(self, *arguments: str, values: Object | None = None) -> str:
        where = ["--kube-context", self.cluster.context, "--namespace", self.cluster.namespace]
        return self._helm.run(*arguments, *where, values=values)

    def deploy(self, **secrets: str) -> str:
        """Returns, once all is ready, what helm tells people."""
        values = self._values | {"secrets": {"MCP_API_KEY": KEY, **secrets}}
        arguments = ["--install", "--wait", "--timeout", "4m"]
        try:
            told = self.helm("upgrade", "todo", str(CHART), *arguments, values=values)
            self.wait_for_leaving_pods()
            return told
        except RefusedError as error:
            state = self.cluster.kubectl("get", "pods", "--output", "wide")
            raise AssertionError(f"{error}\n{state}") from None

    def wait_for_leaving_pods(self) -> None:
        """Those that are replaced serve for some seconds more, with the settings of before."""
        pods = [pod["metadata"] for pod in self.cluster.get("pods")["items"]]
        leaving = [f"pod/{pod['name']}" for pod in pods if "deletionTimestamp" in pod]
        if leaving:
            self.cluster.kubectl("wait", *leaving, "--for=delete", "--timeout=2m")

    def python(self, script: str, *arguments: str) -> str:
        """Runs a script in the backend's pod."""
        target = ["exec", "--stdin", "deployment/todo-backend", "--", "python", "-"]
        return self.cluster.kubectl(*target, *arguments, given=script)

    def person(self, way: str) -> Object:
        script = (Path(__file__).parent / "person.py").read_text()
        origins = ["http://todo-frontend", "http://todo-backend:8000"]
        try:
            return json.loads(self.python(script, *origins, KEY, way))
        except AssertionError as error:
            logs = self.cluster.kubectl("logs", "--selector", "app.kubernetes.io/instance=todo")
            raise AssertionError(f"{error}\n{logs}") from None

    def claim(self) -> str:
        """The identity of the volume claim, which a new one would not have."""
        return self.cluster.get("pvc", "data-todo-postgres-0")["metadata"]["uid"]

    def takes(self, password: str) -> bool:
        return self.python(LOG_IN, password).strip() == "taken"


@pytest.fixture(scope="module")
def installed(built: Compose) -> Iterator[Installed]:
    with Cluster.of_environment() as cluster:
        installed = Installed(cluster, built.images)
        installed.deploy(POSTGRES_PASSWORD="first", BETTER_AUTH_SECRET=FIRST)
        assert installed.person("sign-up")["tasks"] == TASKS
        yield installed


def test_a_changed_password_alters_the_role_and_keeps_the_data(installed: Installed) -> None:
    installed.deploy(POSTGRES_PASSWORD="first", BETTER_AUTH_SECRET=FIRST)
    claim = installed.claim()
    assert installed.takes("first")
    second = 'sec\'ond "quoted" $word \\ here'
    installed.deploy(POSTGRES_PASSWORD=second, BETTER_AUTH_SECRET=FIRST)
    assert installed.takes(second)
    assert not installed.takes("first")
    assert installed.claim() == claim
    assert installed.person("sign-in")["tasks"] == TASKS


def test_a_changed_secret_of_the_sign_in_signs_nobody_out(installed: Installed) -> None:
    installed.deploy(BETTER_AUTH_SECRET=FIRST)
    cookie = installed.person("sign-in")["cookie"]
    installed.deploy(BETTER_AUTH_SECRET=SECOND, BETTER_AUTH_SECRET_PREVIOUS=FIRST)
    assert installed.person(cookie)["tasks"] == TASKS, "whoever was in is in"
    assert installed.person("sign-in")["tasks"] == TASKS
    installed.deploy(BETTER_AUTH_SECRET=FIRST)
    assert installed.person("sign-in")["tasks"] == TASKS, "also when the other is forgotten at once"


def test_databases_are_switched_without_touching_either(installed: Installed) -> None:
    installed.cluster.kubectl("apply", "--filename=-", given=ELSEWHERE_OBJECTS)
    installed.cluster.kubectl("wait", "pod/elsewhere", "--for=condition=Ready", "--timeout=2m")
    installed.deploy(BETTER_AUTH_SECRET=FIRST)
    claim = installed.claim()

    told = installed.deploy(BETTER_AUTH_SECRET=FIRST, DATABASE_URL=ELSEWHERE)
    assert "data-todo-postgres-0; nothing is copied" in told
    assert not installed.cluster.get("statefulset")["items"]
    assert installed.claim() == claim
    assert installed.person("sign-up")["tasks"] == TASKS, "nobody knew them there"

    told = installed.deploy(BETTER_AUTH_SECRET=FIRST)
    assert "One that DATABASE_URL named before keeps its own; nothing is copied" in told
    assert installed.claim() == claim
    assert installed.person("sign-in")["tasks"] == TASKS
    elsewhere = [
        "exec",
        "elsewhere",
        "--",
        "psql",
        "--username=todo",
        "--tuples-only",
        "--no-align",
    ]
    count = installed.cluster.kubectl(*elsewhere, "--command=SELECT count(*) FROM task")
    assert count.strip() == str(len(TASKS))


def test_data_outlives_an_uninstall_and_secrets_that_are_made_up_anew(installed: Installed) -> None:
    installed.deploy()
    claim = installed.claim()
    installed.helm("uninstall", "todo", "--wait")
    installed.wait_for_leaving_pods()
    assert not installed.cluster.get("secret", "--field-selector=type=Opaque")["items"]
    installed.deploy()
    assert installed.claim() == claim
    assert installed.person("sign-in")["tasks"] == TASKS


def test_the_charts_own_test_passes(installed: Installed) -> None:
    installed.deploy()
    assert "Succeeded" in installed.helm("test", "todo", "--timeout", "2m")
