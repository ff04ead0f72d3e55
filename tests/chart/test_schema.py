"""Mistakes in values are refused, and the refusal names the value."""

import json

import pytest

from chart import CHART, Helm, Object, RefusedError

# What is wrong, and the words that helm's refusal has to contain, whichever helm it is.
MISTAKES: dict[str, tuple[Object, list[str]]] = {
    "replicas as text": ({"backend": {"replicas": "2"}}, ["backend", "replicas", "integer"]),
    "fewer than no replicas": ({"frontend": {"replicas": -1}}, ["frontend", "replicas", "0"]),
    "half a replica": ({"frontend": {"replicas": 1.5}}, ["frontend", "replicas", "integer"]),
    "a key that nothing reads": ({"replicaCount": 2}, ["replicaCount"]),
    "a misspelt key": ({"backend": {"imgae": {}}}, ["backend", "imgae"]),
    "a misspelt setting": ({"config": {"CORS_ORIGIN": "x"}}, ["config", "CORS_ORIGIN"]),
    "a misspelt secret": ({"secrets": {"OPENAI_KEY": "x"}}, ["secrets", "OPENAI_KEY"]),
    "a policy that is none": (
        {"backend": {"image": {"pullPolicy": "Sometimes"}}},
        ["backend", "image", "pullPolicy", "Never"],
    ),
    "no image": ({"backend": {"image": {"repository": ""}}}, ["backend", "image", "repository"]),
    "a tag that is a number": ({"backend": {"image": {"tag": 17}}}, ["image", "tag", "string"]),
    "a type of Service that is none": (
        {"frontend": {"service": {"type": "ExternalName"}}},
        ["frontend", "service", "type", "ClusterIP"],
    ),
    "no port": ({"backend": {"service": {"port": 0}}}, ["backend", "service", "port", "1"]),
    "a port beyond all": (
        {"backend": {"service": {"port": 65536}}},
        ["backend", "service", "port"],
    ),
    "a node port below all": ({"frontend": {"service": {"nodePort": 80}}}, ["service", "nodePort"]),
    "an origin with a path": (
        {"config": {"CORS_ORIGINS": "http://x/y"}},
        ["config", "CORS_ORIGINS"],
    ),
    "no origin": ({"config": {"CORS_ORIGINS": ""}}, ["config", "CORS_ORIGINS"]),
    "an address without scheme": (
        {"config": {"BACKEND_URL": "backend"}},
        ["config", "BACKEND_URL"],
    ),
    "no environment": ({"config": {"ENVIRONMENT": ""}}, ["config", "ENVIRONMENT"]),
    "another database": ({"secrets": {"DATABASE_URL": "mysql://x/y"}}, ["secrets", "DATABASE_URL"]),
    # The frontend would refuse it at its start: as a former one it would be two others.
    "a secret with a comma": (
        {"secrets": {"BETTER_AUTH_SECRET": "one,two"}},
        ["secrets", "BETTER_AUTH_SECRET"],
    ),
    "a secret that is a number": ({"secrets": {"MCP_API_KEY": 1}}, ["secrets", "MCP_API_KEY"]),
    "keys that are no list": (
        {"secrets": {"present": "MCP_API_KEY"}},
        ["secrets", "present", "array"],
    ),
    # Read as one that is not there, it would quietly run a database in the cluster.
    "a key that is none": (
        {"secrets": {"present": ["MCP_API_KEY", "DATABASE_URI"]}},
        ["secrets", "present", "DATABASE_URL"],
    ),
    "a user of the database with a quote": ({"postgres": {"user": 'a"b'}}, ["postgres", "user"]),
    "storage without measure": ({"postgres": {"storage": "much"}}, ["postgres", "storage"]),
    "resources of an unknown kind": (
        {"backend": {"resources": {"request": {"cpu": "1"}}}},
        ["backend", "resources", "request"],
    ),
    "an ingress for every name": ({"ingress": {"host": ""}}, ["ingress", "host"]),
    "an annotation that is no text": (
        {"ingress": {"annotations": {"a": True}}},
        ["ingress", "annotations"],
    ),
    "a switch as text": (
        {"networkPolicy": {"enabled": "no"}},
        ["networkPolicy", "enabled", "boolean"],
    ),
    "a pull secret without name": (
        {"imagePullSecrets": ["registry"]},
        ["imagePullSecrets", "object"],
    ),
}


@pytest.mark.parametrize(("values", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_by_name(helm: Helm, values: Object, words: list[str]) -> None:
    with pytest.raises(RefusedError) as refused:
        helm.render(values)
    said = str(refused.value)
    assert "don't meet the specifications of the schema" in said
    assert [word for word in words if word not in said] == [], said


@pytest.mark.parametrize(
    ("secret", "value"),
    [
        ("DATABASE_URL", ["canary-5d1f"]),
        ("DATABASE_URL", "mysql://canary-5d1f"),
        ("BETTER_AUTH_SECRET", "canary-5d1f,"),
        ("MCP_API_KEY", ["canary-5d1f"]),
    ],
)
def test_a_refused_secret_is_not_told(helm: Helm, secret: str, value: object) -> None:
    with pytest.raises(RefusedError) as refused:
        helm.render({"secrets": {secret: value}})
    assert "canary-5d1f" not in str(refused.value)


def test_every_object_of_the_schema_is_closed() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    # Annotations and amounts have names that are not ours to know.
    free = {"annotations", "requests", "limits"}
    open_ones = []

    def visit(name: str, node: object) -> None:
        if not isinstance(node, dict):
            return
        closed = node.get("additionalProperties") is False
        if node.get("type") == "object" and not closed and name not in free:
            open_ones.append(name)
        for key in ("properties", "definitions"):
            for inner, value in node.get(key, {}).items():
                visit(inner, value)

    visit("values", schema)
    assert open_ones == []
