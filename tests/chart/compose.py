"""The compose file, brought up by whichever compose is there, in the daemon of the tests' cluster.

The base images are in that daemon, also where no registry is reached.
"""

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from chart import ROOT, Object
from cluster import context

# Not the names that people use: their containers, volumes and images are left alone.
PROJECT = "todo-compose-test"
FRONTEND_PORT, BACKEND_PORT = 18080, 18000
SETTINGS = {
    "BETTER_AUTH_SECRET": "compose-test-" + "s" * 32,
    "MCP_API_KEY": "compose-test-" + "m" * 32,
    "POSTGRES_PASSWORD": "compose-test-p@ss'word",
    "PUBLIC_ORIGIN": f"http://localhost:{FRONTEND_PORT}",
    "FRONTEND_PORT": str(FRONTEND_PORT),
    "BACKEND_PORT": str(BACKEND_PORT),
}


class Compose:
    """One project, whose settings are `SETTINGS`; files of its own go to `folder`."""

    def __init__(self, folder: Path) -> None:
        self._environment = _environment()
        self._command = _compose(self._environment)
        self.images = {name: f"{PROJECT}-{name}" for name in ("frontend", "backend")}
        settings, override = folder / "settings", folder / "override.json"
        settings.write_text("".join(f"{name}={value}\n" for name, value in SETTINGS.items()))
        images = {name: {"image": image} for name, image in self.images.items()}
        override.write_text(json.dumps({"services": images}))
        self._arguments = ["--project-name", PROJECT, "--env-file", str(settings)]
        self._arguments += ["--file", str(ROOT / "docker-compose.yml"), "--file", str(override)]

    def run(self, *arguments: str) -> str:
        return self._say([*self._command, *self._arguments, *arguments])

    def docker(self, *arguments: str, given: str | None = None) -> str:
        return self._say(["docker", *arguments], given)

    def files(self, image: str) -> list[str]:
        """The paths of all that is in an image, whether or not it has a program that could tell."""
        # What it would run is of no matter, and need not be there.
        container = self.docker("create", image, "none").strip()
        try:
            exported = subprocess.run(
                ["docker", "export", container],
                env=self._environment,
                capture_output=True,
                check=True,
            )
        finally:
            self.docker("rm", "--force", container)
        with tarfile.open(fileobj=io.BytesIO(exported.stdout)) as archive:
            return [name.removeprefix("./") for name in archive.getnames()]

    def up(self) -> None:
        """Starts everything, and returns when all of it is healthy."""
        self.run("up", "--detach")
        for service in ("postgres", "backend", "frontend"):
            healthy = self.becomes_healthy(self.container(service))
            assert healthy, f"{service}: {self.run('logs', service)}"

    def becomes_healthy(self, container: str) -> bool:
        # Events of the past count: nothing is missed, however long the start took.
        watch = ["docker", "events", "--since", "30m", "--format", "{{.Status}}"]
        watch += ["--filter", f"container={container}"]
        with subprocess.Popen(
            ["timeout", "120", *watch], env=self._environment, stdout=subprocess.PIPE, text=True
        ) as events:
            healthy = any("health_status: healthy" in line for line in events.stdout or [])
            events.terminate()
        return healthy

    def build(self) -> None:
        """Builds the images."""
        self.run("build")

    def down(self) -> None:
        """Removes everything that `up` made, the data too."""
        self.run("down", "--volumes", "--remove-orphans")

    def forget(self) -> None:
        """Removes the images."""
        for image in self.images.values():
            # The kubelet takes its time to remove containers that have ended.
            self.docker("image", "rm", "--force", image)

    def container(self, service: str) -> str:
        return self.run("ps", "--quiet", service).strip()

    def inspect(self, service: str) -> Object:
        return json.loads(self.docker("inspect", self.container(service)))[0]

    def _say(self, command: list[str], given: str | None = None) -> str:
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{' '.join(command)}: {ran.stdout}{ran.stderr}"
        return ran.stdout


def _environment() -> dict[str, str]:
    """Variables that lead docker to the daemon of the tests' cluster, and nothing of a person's."""
    command = ["minikube", "--profile", context(), "docker-env", "--shell", "none", "-o", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}: {ran.stdout}{ran.stderr}"
    daemon = {key: value for key, value in json.loads(ran.stdout).items() if "DOCKER" in key}
    ours = {key: value for key, value in os.environ.items() if key in {"HOME", "PATH"}}
    # The old compose builds with BuildKit only when it is told to, by the client that is on PATH.
    built = {"DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1"}
    environment = ours | daemon | built
    if not _works(["docker", "buildx", "version"], environment):
        # Debian's client has BuildKit in it; other clients have it in a plugin that is not here.
        environment["PATH"] = f"/usr/bin{os.pathsep}{environment['PATH']}"
    return environment


def _compose(environment: dict[str, str]) -> list[str]:
    if _works(["docker", "compose", "version"], environment):
        return ["docker", "compose"]
    old = shutil.which("docker-compose", path=environment["PATH"])
    assert old, "neither `docker compose` nor docker-compose is there: apt install docker-compose"
    return [old]


def _works(command: list[str], environment: dict[str, str]) -> bool:
    ran = subprocess.run(command, env=environment, capture_output=True, check=False)
    return ran.returncode == 0
