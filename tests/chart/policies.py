"""What rendered NetworkPolicies allow, decided as Kubernetes documents it; no CNI is asked.

A connection is allowed when the policies that select its source let it out and those that select
its destination let it in. Whom no policy selects for a direction is free in it. Policies are
additive; inside a rule a peer and a port both have to match, and a list that is not there matches
everything.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from chart import Object, Rendered


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod of the release's namespace or of another, or an outsider."""

    labels: dict[str, str] = field(default_factory=dict)
    namespace: str | None = "todo"
    # Container ports by name, for policies that name them.
    ports: dict[str, int] = field(default_factory=dict)


OUTSIDE = End(namespace=None)
OTHER_NAMESPACE = End(labels={"app": "somebody"}, namespace="other")
DNS = End(labels={"k8s-app": "kube-dns"}, namespace="kube-system")
STRANGER = End(labels={"app": "stranger"})


def end(rendered: Rendered, component: str) -> End:
    """The pods of a component, as policies see them."""
    if component == "test":
        pod = rendered.one("Pod", "todo-test")
    else:
        pod = rendered.template(f"todo-{component}")
    ports = {
        port["name"]: port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    }
    return End(labels=pod["metadata"]["labels"], ports=ports)


def allows(rendered: Rendered, source: End, to: End, port: int, protocol: str = "TCP") -> bool:
    policies = list(rendered.of("NetworkPolicy").values())
    out = _free(policies, "Egress", source, peer=to, to=to, port=port, protocol=protocol)
    return out and _free(policies, "Ingress", to, peer=source, to=to, port=port, protocol=protocol)


def _free(
    policies: list[Object], way: str, whose: End, *, peer: End, to: End, port: int, protocol: str
) -> bool:
    if whose.namespace != "todo":
        return True
    specs = [policy["spec"] for policy in policies]
    selecting = [
        spec
        for spec in specs
        if way in spec["policyTypes"] and _selects(spec["podSelector"], whose.labels)
    ]
    if not selecting:
        return True
    rules = [rule for spec in selecting for rule in spec.get(way.lower()) or []]
    peers = "to" if way == "Egress" else "from"
    return any(
        _any(rule.get(peers), lambda one: _is(one, peer))
        and _any(rule.get("ports"), lambda one: _port(one, to, port, protocol))
        for rule in rules
    )


def _any(listed: list[Object] | None, matches: Callable[[Object], bool]) -> bool:
    return not listed or any(matches(one) for one in listed)


def _is(peer: Object, who: End) -> bool:
    unknown = set(peer) - {"podSelector"}
    assert not unknown, f"the chart uses {unknown}, which this does not decide"
    return who.namespace == "todo" and _selects(peer["podSelector"], who.labels)


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    unknown = set(selector) - {"matchLabels"}
    assert not unknown, f"the chart uses {unknown}, which this does not decide"
    return selector.get("matchLabels", {}).items() <= labels.items()


def _port(rule: Object, to: End, port: int, protocol: str) -> bool:
    if rule.get("protocol", "TCP") != protocol:
        return False
    wanted = rule.get("port")
    number = to.ports.get(wanted) if isinstance(wanted, str) else wanted
    return wanted is None or number == port
