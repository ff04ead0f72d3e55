"""Services, configuration, secrets and what a change of them replaces."""

import base64
import hashlib
import hmac
import json
import re

import pytest

from chart import CHART, NAMESPACE, Helm, Object, Rendered
from variants import DEFAULTS, EXTERNAL, existing, ingress, service


@pytest.mark.parametrize(
    ("values", "name", "kind", "port"),
    [
        (DEFAULTS, "todo-frontend", "NodePort", {"port": 80, "nodePort": 30080}),
        (DEFAULTS, "todo-backend", "ClusterIP", {"port": 8000}),
        (DEFAULTS, "todo-postgres", None, {"port": 5432}),
        (service("frontend", "NodePort"), "todo-frontend", "NodePort", {"port": 80}),
        (service("frontend", "ClusterIP", 30080), "todo-frontend", "ClusterIP", {"port": 80}),
        (service("frontend", "LoadBalancer"), "todo-frontend", "LoadBalancer", {"port": 80}),
        (
            service("frontend", "LoadBalancer", 30081),
            "todo-frontend",
            "LoadBalancer",
            {"port": 80, "nodePort": 30081},
        ),
        (
            service("backend", "NodePort", 30800),
            "todo-backend",
            "NodePort",
            {"port": 8000, "nodePort": 30800},
        ),
        (service("backend", "LoadBalancer"), "todo-backend", "LoadBalancer", {"port": 8000}),
    ],
)
def test_services(helm: Helm, values: Object, name: str, kind: str | None, port: Object) -> None:
    spec = helm.render(values).one("Service", name)["spec"]
    assert spec.get("type") == kind
    (found,) = spec["ports"]
    assert {key: found[key] for key in found if key not in {"name", "targetPort"}} == port


def config(rendered: Rendered) -> Object:
    return rendered.one("ConfigMap", "todo-config")["data"]


def test_the_configuration_has_what_the_parts_agree_on(helm: Helm) -> None:
    assert (
        config(helm.render(DEFAULTS)).items()
        >= {
            "ENVIRONMENT": "development",
            "CORS_ORIGINS": "http://localhost:30080",
            "BACKEND_URL": "http://todo-backend:8000",
            "BETTER_AUTH_URL": "http://todo-frontend:80",
            "MCP_DEFAULT_USER_ID": "local",
        }.items()
    )


def test_addresses_follow_the_release_and_the_ports(helm: Helm) -> None:
    ports = {"frontend": {"service": {"port": 8080}}, "backend": {"service": {"port": 9000}}}
    found = helm.render(ports, release="other").one("ConfigMap", "other-config")["data"]
    assert found["BACKEND_URL"] == "http://other-backend:9000"
    assert found["BETTER_AUTH_URL"] == "http://other-frontend:8080"


def test_addresses_that_are_given_stay(helm: Helm) -> None:
    given = {"BACKEND_URL": "https://api.example", "BETTER_AUTH_URL": "https://todo.example"}
    assert config(helm.render({"config": given})).items() >= given.items()


@pytest.mark.parametrize(
    ("origins", "public"),
    [
        ("http://localhost:30080", "http://localhost:30080"),
        ("https://todo.example, http://localhost:30080", "https://todo.example"),
    ],
)
def test_the_frontend_knows_its_public_origin_and_the_backend_the_address_inside(
    helm: Helm, origins: str, public: str
) -> None:
    rendered = helm.render({"config": {"CORS_ORIGINS": origins}})
    assert rendered.env("todo-frontend")["BETTER_AUTH_URL"] == public
    inside = rendered.env("todo-backend")["BETTER_AUTH_URL"]
    assert inside == "configMap/todo-config/BETTER_AUTH_URL"


def secret(rendered: Rendered) -> dict[str, str]:
    data = rendered.one("Secret", "todo-secrets")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_what_is_needed_and_not_given_is_made_up(helm: Helm) -> None:
    first, second = (secret(Helm(helm.program).render(DEFAULTS)) for _ in range(2))
    assert set(first) == {"BETTER_AUTH_SECRET", "MCP_API_KEY", "POSTGRES_PASSWORD"}
    for key, value in first.items():
        assert len(value) >= 32, key
        assert value != second[key], "made up, not built in"


def test_secrets_that_are_given_are_kept_to_the_letter(helm: Helm) -> None:
    given = {
        "DATABASE_URL": "postgresql://u:p%40s@db.example/todo?sslmode=require&channel_binding=require",
        "BETTER_AUTH_SECRET": "with spaces; 'quotes'; \"more\"; $dollars and ünïcode",
        "BETTER_AUTH_SECRET_PREVIOUS": "one,two",
        "OPENAI_API_KEY": "sk-1",
        "MCP_API_KEY": "0123456789",
        "NEXT_PUBLIC_OPENAI_DOMAIN_KEY": "domain_pk_1",
    }
    assert secret(helm.render({"secrets": given})).items() >= given.items()


def test_no_secret_is_anywhere_but_in_the_secret(helm: Helm) -> None:
    given = {
        key: f"canary-{key.lower().replace('_', '-')}"
        for key in ("POSTGRES_PASSWORD", "BETTER_AUTH_SECRET", "MCP_API_KEY", "OPENAI_API_KEY")
    }
    rendered = helm.render({"secrets": given})
    del rendered.objects[rendered.objects.index(rendered.one("Secret", "todo-secrets"))]
    assert "canary" not in str(rendered.objects)
    assert "canary" not in helm.notes({"secrets": given})


def test_no_checksum_tells_a_weak_secret(helm: Helm) -> None:
    """Whoever may read pods tries the passwords that people choose, once for all releases, and by
    a digest that takes no time."""
    values = {"secrets": {"POSTGRES_PASSWORD": "letmein", "MCP_API_KEY": "letmein"}}
    plain = [
        json.dumps(guess, separators=(",", ":")).encode()
        for guess in (
            {"POSTGRES_PASSWORD": "letmein"},
            {"MCP_API_KEY": "letmein", "POSTGRES_PASSWORD": "letmein"},
        )
    ]
    guessed = {hashlib.sha256(text).hexdigest() for text in (b"letmein", *plain)}
    found: list[set[str]] = []
    for release in ("todo", "other"):
        whose = f"{NAMESPACE}/{release}".encode()
        for text in plain:
            for salted in (whose + text, text + whose, whose + b"/" + text, whose + b":" + text):
                guessed.add(hashlib.sha256(salted).hexdigest())
            guessed.add(hmac.new(whose, text, "sha256").hexdigest())
            guessed.add(hmac.new(text, whose, "sha256").hexdigest())
        rendered = helm.render(values, release)
        templates = [rendered.template(name) for name in rendered.workloads()]
        found.append({one["metadata"]["annotations"]["checksum/secrets"] for one in templates})
    assert not (found[0] | found[1]) & guessed
    assert not found[0] & found[1], "another release has others"
    # The only function of the templates' language that takes its time: it is scrypt.
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()
    (checksum,) = re.findall(r"^checksum/secrets: (.+)$", helpers, re.MULTILINE)
    assert 'derivePassword 1 "maximum" ($read | toJson) $whose' in checksum


def test_with_a_secret_that_is_there_already_none_is_made(helm: Helm) -> None:
    rendered = helm.render(existing("OPENAI_API_KEY"))
    assert not rendered.of("Secret")
    sources = [s for name in rendered.workloads() for s in rendered.env(name).values()]
    read = {source for source in sources if source.startswith("secret/")}
    assert {source.split("/")[1] for source in read} == {"kept-elsewhere"}


def checksums(helm: Helm, values: Object) -> dict[str, Object]:
    rendered = helm.render(values)
    return {
        name.removeprefix("todo-"): rendered.template(name)["metadata"].get("annotations")
        for name in rendered.workloads()
    }


@pytest.mark.parametrize(
    ("change", "replaced"),
    [
        ({}, set()),
        ({"config": {"ENVIRONMENT": "production"}}, {"backend"}),
        ({"config": {"MCP_DEFAULT_USER_ID": "other"}}, {"backend"}),
        ({"config": {"TRUSTED_ORIGINS": "http://x.example"}}, {"frontend"}),
        ({"config": {"BACKEND_URL": "http://x.example"}}, {"frontend"}),
        ({"config": {"BETTER_AUTH_URL": "http://x.example"}}, {"backend"}),
        ({"backend": {"service": {"port": 9000}}}, {"frontend"}),
        ({"secrets": {"MCP_API_KEY": "other"}}, {"backend"}),
        ({"secrets": {"OPENAI_API_KEY": "other"}}, {"backend"}),
        ({"secrets": {"BETTER_AUTH_SECRET": "other"}}, {"frontend"}),
        ({"secrets": {"BETTER_AUTH_SECRET_PREVIOUS": "other"}}, {"frontend"}),
        ({"secrets": {"NEXT_PUBLIC_OPENAI_DOMAIN_KEY": "other"}}, {"frontend"}),
        ({"secrets": {"POSTGRES_PASSWORD": "other"}}, {"frontend", "backend", "postgres"}),
        ({"frontend": {"replicas": 5}}, set()),
    ],
)
def test_a_change_replaces_the_pods_that_read_it_and_no_other(
    helm: Helm, change: Object, replaced: set[str]
) -> None:
    before, after = checksums(helm, DEFAULTS), checksums(helm, change)
    assert {name for name in before if before[name] != after[name]} == replaced


def test_a_changed_address_of_a_database_elsewhere_replaces_both(helm: Helm) -> None:
    before = checksums(helm, EXTERNAL)
    after = checksums(helm, {"secrets": {"DATABASE_URL": "postgresql://u:new@db.example/todo"}})
    assert {name for name in before if before[name] != after[name]} == {"frontend", "backend"}


def test_without_ingress_there_is_none(helm: Helm) -> None:
    assert not helm.render(DEFAULTS).of("Ingress")


def test_ingress(helm: Helm) -> None:
    spec = helm.render(ingress()).one("Ingress", "todo-frontend")["spec"]
    (rule,) = spec["rules"]
    assert rule["host"] == "todo.example"
    (path,) = rule["http"]["paths"]
    assert path == {
        "path": "/",
        "pathType": "Prefix",
        "backend": {"service": {"name": "todo-frontend", "port": {"name": "http"}}},
    }
    assert "tls" not in spec
    assert "ingressClassName" not in spec


def test_ingress_with_tls(helm: Helm) -> None:
    values = ingress(className="nginx", tlsSecret="todo-tls", annotations={"a.example/b": "c"})
    found = helm.render(values).one("Ingress", "todo-frontend")
    assert found["spec"]["tls"] == [{"hosts": ["todo.example"], "secretName": "todo-tls"}]
    assert found["spec"]["ingressClassName"] == "nginx"
    assert found["metadata"]["annotations"] == {"a.example/b": "c"}
