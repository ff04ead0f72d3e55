"""Every combination of values that matters is a chart that helm and the API server take."""

import pytest
import yaml

from chart import Helm, Rendered
from cluster import Cluster
from variants import VARIANTS, Object, ingress


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def values(request: pytest.FixtureRequest) -> Object:
    return request.param


def test_lint_has_nothing_to_say(helm: Helm, values: Object) -> None:
    assert "0 chart(s) failed" in helm.lint(values)


def test_no_value_is_rendered_as_nothing(helm: Helm, values: Object) -> None:
    text = helm.render(values).text
    for mark in ("<no value>", "%!", "map[", "<nil>"):
        assert mark not in text, mark


def test_objects_are_named_once_and_say_whose_they_are(helm: Helm, values: Object) -> None:
    objects = helm.render(values).objects
    names = [(found["kind"], found["metadata"]["name"]) for found in objects]
    assert len(names) == len(set(names))
    for found in objects:
        assert found["metadata"]["labels"]["app.kubernetes.io/instance"] == "todo", found
        assert "namespace" not in found["metadata"], "the caller says which"


def test_whatever_is_referred_to_is_there(helm: Helm, values: Object) -> None:
    rendered = helm.render(values)
    existing = values.get("secrets", {}).get("existingSecret")
    secrets = {name: set(found["data"]) for name, found in rendered.of("Secret").items()}
    if existing:
        # What the database and the sign-in need is there whether `present` says so or not.
        secrets[existing] = {*values["secrets"]["present"]}
        secrets[existing] |= {"POSTGRES_PASSWORD", "BETTER_AUTH_SECRET", "MCP_API_KEY"}
    keys = {"secret": secrets}
    keys["configMap"] = {n: set(found["data"]) for n, found in rendered.of("ConfigMap").items()}
    accounts = rendered.of("ServiceAccount")
    for name in rendered.workloads():
        assert rendered.template(name)["spec"]["serviceAccountName"] in accounts
        for variable, source in rendered.env(name).items():
            kind, _, reference = source.partition("/")
            if kind in keys:
                owner, _, key = reference.partition("/")
                assert key in keys[kind][owner], f"{name} reads {variable} from {source}"


def test_the_api_server_takes_it(helm: Helm, cluster: Cluster, values: Object) -> None:
    cluster.accepts(without_node_ports(helm.render(values)))


@pytest.mark.parametrize("release", ["r" * 53, "r" * 42 + "-" + "s" * 10, "r" * 43, "todo"])
def test_names_fit_however_long_that_of_the_release_is(helm: Helm, release: str) -> None:
    """helm takes 53 characters. A StatefulSet's pods are labelled with its name and 11 more, and an
    object that is too long for that is taken by the API server and never gets a pod."""
    rendered = helm.render({**ingress(), "networkPolicy": {"enabled": True}}, release)
    names = [found["metadata"]["name"] for found in rendered.objects]
    assert [name for name in names if len(name) > 63 or "--" in name] == []
    assert [name for name in rendered.of("StatefulSet") if len(name) > 63 - 11] == []


def without_node_ports(rendered: Rendered) -> str:
    """A node's port may be taken by whatever else is deployed in the cluster."""
    for service in rendered.of("Service").values():
        for port in service["spec"]["ports"]:
            port.pop("nodePort", None)
    return yaml.safe_dump_all(rendered.objects)
