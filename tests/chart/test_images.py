"""The images hold what they need, run as they are, and say themselves whether they are healthy."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chart import ROOT, Object
from compose import PROJECT, Compose

COMPONENTS = ["frontend", "backend"]
# With the GNU C library, as the binaries that are installed into them want.
BASES = {"node:22-slim", "python:3.13-slim", "scratch"}
PROBES = {
    "frontend": ["CMD", "node", "healthcheck.mjs"],
    "backend": ["CMD", "python", "-m", "app.probe"],
}
# Enough to start. None of the addresses leads anywhere.
SETTINGS = {
    "BACKEND_URL": "http://127.0.0.1:1",
    "BETTER_AUTH_SECRET": "images-test-" + "s" * 32,
    "BETTER_AUTH_URL": "http://localhost:3000",
    "CORS_ORIGINS": "http://localhost:3000",
    "POSTGRES_HOST": "127.0.0.1",
    "POSTGRES_PASSWORD": "images-test",
}
# What working folders have beside what git knows, and no image should.
UNTRACKED = [
    ".env",
    ".env.local",
    ".git/config",
    ".next/server/app.js",
    ".venv/bin/python",
    "node_modules/next/package.json",
    "notes.txt",
]
UNWANTED = re.compile(
    r"(^|/)(\.env[^/]*|\.git|\.next|\.venv|__pycache__|node_modules|tests?|tools|Dockerfile"
    r"|notes\.txt|[^/]+\.(pyc|md))(/|$)"
)


@pytest.mark.parametrize("component", COMPONENTS)
def test_dockerfiles_name_bases_that_are_known_and_no_syntax(component: str) -> None:
    """A `# syntax=` line would have BuildKit pull an image, which not every machine can."""
    text = (ROOT / component / "Dockerfile").read_text()
    assert not re.search(r"^#\s*syntax\s*=", text, re.MULTILINE | re.IGNORECASE)
    lines = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE)
    assert len(lines) == len(re.findall(r"^\s*FROM\b", text, re.MULTILINE | re.IGNORECASE))
    stages = {stage for _, stage in lines}
    assert {base for base, _ in lines} - stages <= BASES
    copied = set(re.findall(r"^COPY .*--from=(\S+)", text, re.MULTILINE))
    assert copied <= stages


@pytest.mark.parametrize(
    ("component", "installs", "store", "option"),
    [
        ("frontend", "npm install", "/root/.npm", ""),
        ("frontend", "pnpm install", "/pnpm", "--store-dir /pnpm"),
        ("backend", "pip install", "/root/.cache/pip", ""),
        ("backend", "uv sync", "/root/.cache/uv", ""),
    ],
)
def test_a_changed_dependency_downloads_itself_and_no_other(
    component: str, installs: str, store: str, option: str
) -> None:
    """What was downloaded for the build before is in a cache mount, whatever layer is made anew:
    mounted where the installer keeps it, and nothing moves that elsewhere."""
    text = (ROOT / component / "Dockerfile").read_text().replace("\\\n", " ")
    run = re.compile(rf"^RUN .*[ /]{installs} .*$", re.MULTILINE)
    stages = [stage for stage in text.split("\nFROM ") if run.search(stage)]
    assert stages, f"no stage has {installs}"
    for stage in stages:
        for line in run.findall(stage):
            assert f"--mount=type=cache,target={store} " in line
            assert option in line
        assert not re.search(r"CACHE|HOME=|npm_config|--(no-)?cache", stage)


@pytest.mark.parametrize("component", COMPONENTS)
def test_dockerignore_leaves_to_the_builder_what_it_reads(
    built: Compose, component: str, tmp_path: Path
) -> None:
    """The builder itself is asked: all that it is given is copied into an image."""
    tracked = subprocess.run(
        ["git", "ls-files", "."], cwd=ROOT / component, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    compiled = ["app/__pycache__/main.cpython-313.pyc"] if component == "backend" else []
    for path in [*tracked, *UNTRACKED, *compiled]:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    shutil.copy(ROOT / component / ".dockerignore", tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /given/\n")
    image = f"{PROJECT}-context-{component}"
    built.docker("build", "--quiet", "--tag", image, str(tmp_path))
    try:
        found = [name for name in built.files(image) if name.startswith("given/")]
    finally:
        built.docker("image", "rm", "--force", image)
    given = {name.removeprefix("given/") for name in found}
    assert [name for name in sorted(given) if UNWANTED.search(name)] == []
    # And all of the application is given.
    assert {path for path in tracked if path.startswith("app/")} <= given


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_image_holds_no_secret_no_test_and_needs_no_shell(
    built: Compose, component: str
) -> None:
    files = built.files(built.images[component])
    assert "app" in files
    of_app = [name for name in files if name.startswith("app/") and "/node_modules/" not in name]
    unwanted = re.compile(r"/(\.env[^/]*|tests?|Dockerfile|\.dockerignore)(/|$)")
    assert [name for name in of_app if unwanted.search(name)] == []
    if component == "frontend":
        shells = re.compile(r"(^|/)(ba|da|a|z)?sh$|(^|/)busybox$")
        assert [name for name in files if shells.search(name)] == []
    config = configuration(built, component)
    assert config["Entrypoint"] is None
    assert config["Cmd"][0] == PROBES[component][1], "it is started by no shell"


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_image_says_whether_it_is_healthy(built: Compose, component: str) -> None:
    assert configuration(built, component)["Healthcheck"]["Test"] == PROBES[component]
    closed = ["--read-only", "--cap-drop=ALL", "--network=none", "--tmpfs=/tmp"]
    given = [f"--env={name}={value}" for name, value in SETTINGS.items()]
    # The image's own check, asked more often than people need it.
    often = ["--health-interval=1s", "--health-start-period=0s", "--health-retries=60"]
    run = ["run", "--detach", *closed, *given, *often, built.images[component]]
    container = built.docker(*run).strip()
    try:
        assert built.becomes_healthy(container), built.docker("logs", container)
    finally:
        built.docker("rm", "--force", container)


def configuration(compose: Compose, component: str) -> Object:
    inspected = json.loads(compose.docker("image", "inspect", compose.images[component]))
    return inspected[0]["Config"]
