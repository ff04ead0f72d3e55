"""A namespace of its own in the tests' cluster, reached through kubectl."""

import json
import os
import secrets
import subprocess
from types import TracebackType
from typing import Self

from chart import Object

CONTEXT = "XTASK_TEST_CONTEXT"


def context() -> str:
    """The kubeconfig context of the tests' cluster. Never the current one."""
    name = os.environ.get(CONTEXT)
    if not name:
        raise RuntimeError(
            f"{CONTEXT} is not set: it names the kubeconfig context of a cluster for tests; "
            "`cargo xtask test chart` makes one and sets it"
        )
    return name


class Cluster:
    def __init__(self, context: str, namespace: str) -> None:
        self.context = context
        self.namespace = namespace

    @classmethod
    def of_environment(cls) -> Self:
        return cls(context(), f"chart-{secrets.token_hex(4)}")

    def __enter__(self) -> Self:
        self.kubectl("create", "namespace", self.namespace)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kubectl("delete", "namespace", self.namespace)

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What kubectl says. Fails the test with kubectl's own words."""
        command = ["kubectl", "--context", self.context, "--namespace", self.namespace, *arguments]
        ran = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"kubectl {' '.join(arguments)}: {ran.stderr}"
        return ran.stdout

    def get(self, *arguments: str) -> Object:
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def accepts(self, manifests: str) -> None:
        """Has the API server check objects without keeping them, unknown fields included."""
        self.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", given=manifests)
