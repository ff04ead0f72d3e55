"""The chart as helm renders it: objects to look at, and what helm refuses.

Knows helm and YAML, and nothing of what the objects should be.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "todo-chatbot"

# The same language, read by C where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Of everything that is rendered.
NAMESPACE = "todo"

Object = dict[str, Any]


def helms() -> list[str]:
    """The helms to try: in the folders of XTASK_TEST_HELMS, a list like PATH, or PATH's own."""
    folders = os.environ.get("XTASK_TEST_HELMS")
    if folders:
        return [str(Path(folder) / "helm") for folder in folders.split(os.pathsep)]
    found = shutil.which("helm")
    if found is None:
        raise RuntimeError("helm is not on PATH, and XTASK_TEST_HELMS names no folder with one")
    return [found]


class RefusedError(Exception):
    """helm would not render; the text is what it said."""


class Helm:
    """One helm, and a chart rendered by it under the release name `todo`."""

    def __init__(self, program: str) -> None:
        self.program = program
        # Rendering takes longer than what is said of it, and the same values are rendered often.
        self._rendered: dict[str, str] = {}

    def run(self, *arguments: str, values: Object | None = None) -> str:
        """What helm writes to its standard output. Raises RefusedError."""
        command = [self.program, *arguments]
        if values is not None:
            command += ["--values", "-"]
        ran = subprocess.run(
            command, input=json.dumps(values), capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            raise RefusedError(ran.stderr + ran.stdout)
        return ran.stdout

    def lint(self, values: Object) -> str:
        return self.run("lint", "--strict", str(CHART), values=values)

    def render(self, values: Object, release: str = "todo", chart: Path = CHART) -> "Rendered":
        # A helm that was built from source takes the cluster for a very old one unless it is told.
        arguments = [release, str(chart), "--namespace", NAMESPACE, "--kube-version", "1.34.0"]
        key = json.dumps([arguments, values])
        if key not in self._rendered:
            self._rendered[key] = self.run("template", *arguments, values=values)
        return Rendered(self._rendered[key])

    def notes(self, values: Object) -> str:
        """What an install with these values tells people. Asked as a template like any other: a dry
        run of an install would go to whichever cluster is the current one."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "chart"
            shutil.copytree(CHART, copy, ignore=shutil.ignore_patterns("values-local.yaml"))
            text = (copy / "templates" / "NOTES.txt").read_text()
            (copy / "templates" / "_notes.tpl").write_text(
                f'{{{{ define "n" }}}}{text}{{{{ end }}}}'
            )
            shown = 'kind: Notes\nmetadata: { name: notes }\ntext: {{ include "n" . | toJson }}\n'
            (copy / "templates" / "notes.yaml").write_text(shown)
            return self.render(values, chart=copy).one("Notes", "notes")["text"]


class Rendered:
    """The objects of one rendering."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[Object] = [found for found in yaml.load_all(text, LOADER) if found]

    def of(self, kind: str) -> dict[str, Object]:
        """All objects of a kind, by name."""
        return {found["metadata"]["name"]: found for found in self.objects if found["kind"] == kind}

    def one(self, kind: str, name: str) -> Object:
        found = self.of(kind)
        assert name in found, f"no {kind} {name} among {sorted(found)}"
        return found[name]

    def workloads(self) -> dict[str, Object]:
        return self.of("Deployment") | self.of("StatefulSet")

    def template(self, name: str) -> Object:
        """The pod template of a workload."""
        return self.workloads()[name]["spec"]["template"]

    def pods(self) -> dict[str, Object]:
        """Every pod specification, with those of hooks."""
        specs = {
            name: found["spec"]["template"]["spec"] for name, found in self.workloads().items()
        }
        return specs | {name: pod["spec"] for name, pod in self.of("Pod").items()}

    def env(self, name: str) -> dict[str, str]:
        """The variables of a workload's container: a value, or where it is from as KIND/KEY."""
        container = self.template(name)["spec"]["containers"][0]
        return {variable["name"]: _source(variable) for variable in container["env"]}


def _source(variable: Object) -> str:
    if "value" in variable:
        return str(variable["value"])
    kind, reference = next(iter(variable["valueFrom"].items()))
    return f"{kind.removesuffix('KeyRef')}/{reference['name']}/{reference['key']}"
