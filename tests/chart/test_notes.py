"""What people are told after an install: where to open the application, and where the data is."""

import pytest

from chart import Helm, Object
from variants import DEFAULTS, EXTERNAL, ingress, service

CASES: dict[str, tuple[Object, list[str], list[str]]] = {
    "a node port": (
        DEFAULTS,
        ["http://localhost:30080", "minikube service --namespace todo todo-frontend --url"],
        ["port-forward"],
    ),
    "a node port of the cluster's choice": (
        service("frontend", "NodePort"),
        ["port-forward service/todo-frontend 3000:80", "http://localhost:3000"],
        ["30080", "null"],
    ),
    "no way in": (
        service("frontend", "ClusterIP"),
        ["kubectl --namespace todo port-forward service/todo-frontend 3000:80"],
        ["minikube"],
    ),
    "an ingress": (ingress(), ["Open it:   http://todo.example\n"], ["30080", "CORS_ORIGINS"]),
    "an ingress with TLS": (
        ingress(tlsSecret="tls") | {"config": {"CORS_ORIGINS": "https://todo.example"}},
        ["Open it:   https://todo.example\n"],
        ["CORS_ORIGINS"],
    ),
    "an ingress that the sign-in does not know of": (
        ingress() | {"config": {"CORS_ORIGINS": "http://localhost:30080"}},
        ["config.CORS_ORIGINS", "http://todo.example", "http://localhost:30080"],
        [],
    ),
    "the data in the cluster": (
        DEFAULTS,
        ["data-todo-postgres-0", "helm uninstall", "nothing is copied"],
        ["postgresql://"],
    ),
    "the data elsewhere": (
        EXTERNAL,
        ["DATABASE_URL", "data-todo-postgres-0", "nothing is copied"],
        ["u:p@", "db.example"],
    ),
}


@pytest.mark.parametrize(("values", "said", "unsaid"), CASES.values(), ids=CASES)
def test_notes(helm: Helm, values: Object, said: list[str], unsaid: list[str]) -> None:
    notes = helm.notes(values)
    assert [word for word in said if word not in notes] == [], notes
    assert [word for word in unsaid if word in notes] == [], notes


def test_how_to_try_it(helm: Helm) -> None:
    assert "helm test --namespace todo todo" in helm.notes(DEFAULTS)
