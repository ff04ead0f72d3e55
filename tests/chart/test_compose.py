"""The same images run without Kubernetes, as `docker-compose.yml` says, and as closed as there."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chart import ROOT, Helm, Object
from compose import BACKEND_PORT, FRONTEND_PORT, SETTINGS, Compose
from variants import EXTERNAL, VARIANTS

TEXT = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
SERVICES: dict[str, Object] = yaml.safe_load(TEXT)["services"]


@pytest.fixture(scope="module")
def compose(built: Compose) -> Iterator[Compose]:
    built.down()
    try:
        built.up()
        yield built
    finally:
        built.down()


def person(compose: Compose, way: str) -> Object:
    """What somebody sees who signs up, or in, at the published ports."""
    script = (Path(__file__).parent / "person.py").read_text()
    origins = [f"http://localhost:{port}" for port in (FRONTEND_PORT, BACKEND_PORT)]
    command = [
        "run",
        "--rm",
        "--interactive",
        "--network=host",
        compose.images["backend"],
        "python",
        "-",
    ]
    return yaml.safe_load(
        compose.docker(*command, *origins, SETTINGS["MCP_API_KEY"], way, given=script)
    )


def test_a_person_can_use_it_and_what_they_did_outlives_the_containers(compose: Compose) -> None:
    seen = person(compose, "sign-up")
    assert seen["tasks"] == ["milk", "bread"]
    assert (seen["health"]["status"], seen["health"]["database"]) == ("ok", "ok")
    assert seen["keyed"] == [], "a request with the key acts for another user"
    compose.run("down")
    compose.up()
    assert person(compose, "sign-in")["tasks"] == ["milk", "bread"]


@pytest.mark.parametrize("service", SERVICES)
def test_containers_are_closed(compose: Compose, service: str) -> None:
    found = compose.inspect(service)
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", found["Config"]["User"])
    published = [port for ports in host["PortBindings"].values() for port in ports]
    assert {port["HostIp"] for port in published} <= {"127.0.0.1"}
    assert bool(published) == (service != "postgres")
    assert found["RestartCount"] == 0
    assert found["State"]["OOMKilled"] is False


def test_it_says_what_is_not_filled_in(tmp_path: Path) -> None:
    compose = Compose(tmp_path)
    (tmp_path / "settings").write_text(EXAMPLE)
    with pytest.raises(AssertionError, match=r"see \.env\.example"):
        compose.run("config")


def test_the_example_names_every_variable_and_holds_no_value() -> None:
    lines = [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not line.endswith("=")] == []
    assert {line.rstrip("=") for line in lines} == set(re.findall(r"\$\{(\w+)", TEXT))


@pytest.mark.parametrize(
    ("path", "code"),
    [(".env", 0), ("kubernetes/secret.env", 0), (".env.example", 1)],
)
def test_git_ignores_files_with_secrets(path: str, code: int) -> None:
    said = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT, check=False)
    assert said.returncode == code


@pytest.mark.parametrize("component", ["frontend", "backend"])
def test_containers_are_told_what_the_charts_are(helm: Helm, component: str) -> None:
    told: set[str] = set()
    for values in (*VARIANTS.values(), EXTERNAL):
        told |= set(helm.render(values).env(f"todo-{component}"))
    # The names of user and database are the defaults there.
    missing = told - set(SERVICES[component]["environment"])
    assert missing == {"POSTGRES_USER", "POSTGRES_DB"}
