"""The manifests in `kubernetes/` are what the chart says now, and can be applied as they are."""

import os
import subprocess
from pathlib import Path

from chart import ROOT, Helm, Rendered
from cluster import Cluster
from test_render import without_node_ports

FOLDER = ROOT / "kubernetes"
EXAMPLE = FOLDER / "secret.env.example"


def manifests(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.yaml"))}


def committed() -> Rendered:
    return Rendered("\n---\n".join(manifests(FOLDER).values()))


def test_they_are_current(helm: Helm, tmp_path: Path) -> None:
    environment = {**os.environ, "HELM": helm.program}
    subprocess.run([FOLDER / "render", tmp_path], env=environment, check=True)
    assert manifests(FOLDER) == manifests(tmp_path), "run kubernetes/render, and commit"


def test_the_api_server_takes_them(cluster: Cluster) -> None:
    cluster.accepts(without_node_ports(committed()))


def test_they_hold_no_secret() -> None:
    assert not committed().of("Secret")
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not line.endswith("=")] == []


def test_the_example_names_every_key_that_is_read(cluster: Cluster, tmp_path: Path) -> None:
    """Made into a Secret the way that the example says."""
    rendered = committed()
    sources = {s for name in rendered.workloads() for s in rendered.env(name).values()}
    read = {source for source in sources if source.startswith("secret/")}
    made = cluster.kubectl(
        *("create", "secret", "generic", "todo-secrets", f"--from-env-file={EXAMPLE}"),
        *("--dry-run=server", "--output", "name"),
    )
    assert made.strip() == "secret/todo-secrets"
    keys = {line.partition("=")[0] for line in EXAMPLE.read_text().splitlines() if "=" in line}
    assert read == {f"secret/todo-secrets/{key}" for key in keys if not key.startswith("#")}


def test_nothing_says_that_helm_manages_them() -> None:
    for found in committed().objects:
        assert "helm" not in str(found["metadata"]).lower(), found["metadata"]["name"]
        assert found["kind"] != "Pod", "the test pod is helm's"
