"""The NetworkPolicies let through what the application needs, and nothing else.

The local cluster's network enforces none, so a missing flow would show only where one is: this is
decided from the rendered objects.
"""

import pytest

from chart import Helm, Object
from policies import DNS, OTHER_NAMESPACE, OUTSIDE, STRANGER, End, allows, end
from variants import DEFAULTS, EXTERNAL, OPENAI, existing, ingress, service

OTHERS = {"outside": OUTSIDE, "other namespace": OTHER_NAMESPACE, "DNS": DNS, "stranger": STRANGER}

# From, to, port.
Flow = tuple[str, str, int]

# Whatever the values are. People come to the frontend through a node, an ingress or a balancer.
ALWAYS: list[Flow] = [
    ("frontend", "backend", 8000),
    ("backend", "frontend", 3000),  # the keys of the sign-in's tokens
    ("outside", "frontend", 3000),
    ("other namespace", "frontend", 3000),
    ("test", "frontend", 3000),
    ("test", "backend", 8000),
]
IN_CLUSTER: list[Flow] = [("frontend", "postgres", 5432), ("backend", "postgres", 5432)]
NEVER: list[Flow] = [
    ("stranger", "backend", 8000),
    ("other namespace", "backend", 8000),
    ("outside", "frontend", 9229),
    ("frontend", "backend", 22),
]
# Only with a database in the cluster is there somebody to keep from it.
NEVER_IN_CLUSTER: list[Flow] = [
    ("outside", "postgres", 5432),
    ("stranger", "postgres", 5432),
    ("other namespace", "postgres", 5432),
    ("test", "postgres", 5432),
    ("postgres", "outside", 443),
    ("postgres", "backend", 8000),
    ("frontend", "postgres", 22),
]
FRONTEND_OUT: list[Flow] = [("frontend", "outside", 5432), ("frontend", "outside", 443)]
BACKEND_OUT: list[Flow] = [("backend", "outside", 5432), ("backend", "outside", 443)]
BACKEND_IN: list[Flow] = [("outside", "backend", 8000)]

CASES: dict[str, tuple[Object, list[Flow], list[Flow]]] = {
    "a database in the cluster": (
        DEFAULTS,
        ALWAYS + IN_CLUSTER,
        NEVER + NEVER_IN_CLUSTER + FRONTEND_OUT + BACKEND_OUT + BACKEND_IN,
    ),
    "a database elsewhere": (EXTERNAL, ALWAYS + FRONTEND_OUT + BACKEND_OUT, NEVER + BACKEND_IN),
    "a database elsewhere, in an existing Secret": (
        existing("DATABASE_URL"),
        ALWAYS + FRONTEND_OUT + BACKEND_OUT,
        NEVER + BACKEND_IN,
    ),
    "a model elsewhere": (
        OPENAI,
        ALWAYS + IN_CLUSTER + BACKEND_OUT,
        NEVER + NEVER_IN_CLUSTER + FRONTEND_OUT + BACKEND_IN,
    ),
    "a model elsewhere, in an existing Secret": (
        existing("OPENAI_API_KEY"),
        ALWAYS + IN_CLUSTER + BACKEND_OUT,
        NEVER + NEVER_IN_CLUSTER + FRONTEND_OUT + BACKEND_IN,
    ),
    "ChatKit, which the browser loads": (
        {"secrets": {"NEXT_PUBLIC_OPENAI_DOMAIN_KEY": "k"}},
        ALWAYS + IN_CLUSTER,
        NEVER + NEVER_IN_CLUSTER + FRONTEND_OUT + BACKEND_OUT + BACKEND_IN,
    ),
    "an ingress": (
        ingress(),
        ALWAYS + IN_CLUSTER,
        NEVER + NEVER_IN_CLUSTER + FRONTEND_OUT + BACKEND_OUT + BACKEND_IN,
    ),
    "other ports of the Services": (
        {"frontend": {"service": {"port": 8080}}, "backend": {"service": {"port": 9000}}},
        ALWAYS + IN_CLUSTER,
        NEVER + NEVER_IN_CLUSTER + FRONTEND_OUT + BACKEND_OUT + BACKEND_IN,
    ),
    "a backend that is open to the outside": (
        service("backend", "LoadBalancer"),
        ALWAYS + IN_CLUSTER + BACKEND_IN,
        NEVER_IN_CLUSTER + FRONTEND_OUT + BACKEND_OUT,
    ),
    "a backend elsewhere": (
        {"config": {"BACKEND_URL": "https://api.example"}},
        ALWAYS + IN_CLUSTER + FRONTEND_OUT,
        NEVER + NEVER_IN_CLUSTER + BACKEND_OUT + BACKEND_IN,
    ),
    "keys of the sign-in elsewhere": (
        {"config": {"BETTER_AUTH_URL": "https://todo.example"}},
        ALWAYS + IN_CLUSTER + BACKEND_OUT,
        NEVER + NEVER_IN_CLUSTER + FRONTEND_OUT + BACKEND_IN,
    ),
}


@pytest.mark.parametrize(("values", "allowed", "denied"), CASES.values(), ids=CASES)
def test_flows(helm: Helm, values: Object, allowed: list[Flow], denied: list[Flow]) -> None:
    rendered = helm.render(values)

    def who(name: str) -> End:
        return OTHERS[name] if name in OTHERS else end(rendered, name)

    def passes(flow: Flow) -> bool:
        # What may go anywhere may also go to odd ports of our own; the other end still refuses.
        source, to, port = flow
        return allows(rendered, who(source), who(to), port)

    assert [flow for flow in allowed if not passes(flow)] == [], "needed, and kept out"
    assert [flow for flow in denied if passes(flow)] == [], "let through for no reason"
    for name in ("frontend", "backend"):
        for protocol in ("UDP", "TCP"):
            assert allows(rendered, who(name), DNS, 53, protocol), f"{name} looks names up"


def test_without_policies_everything_passes(helm: Helm) -> None:
    rendered = helm.render({"networkPolicy": {"enabled": False}})
    assert not rendered.of("NetworkPolicy")
    assert allows(rendered, STRANGER, end(rendered, "postgres"), 5432)


@pytest.mark.parametrize("dropped", [("frontend", "egress"), ("backend", "ingress")])
def test_a_flow_that_is_missing_is_noticed(helm: Helm, dropped: tuple[str, str]) -> None:
    name, way = dropped
    rendered = helm.render(DEFAULTS)
    rendered.one("NetworkPolicy", f"todo-{name}")["spec"].pop(way)
    assert not allows(rendered, end(rendered, "frontend"), end(rendered, "backend"), 8000)
