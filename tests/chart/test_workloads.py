"""What runs, and under which limits: the chart's promises about pods, for every combination."""

import re

import pytest

from chart import ROOT, Helm, Object, Rendered
from variants import DEFAULTS, EXTERNAL, OPENAI, VARIANTS, existing

APP = ("todo-frontend", "todo-backend")


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def rendered(request: pytest.FixtureRequest, helm: Helm) -> Rendered:
    return helm.render(request.param)


def containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def test_pods_run_as_nobody_with_nothing_to_write_to(rendered: Rendered) -> None:
    for name, spec in rendered.pods().items():
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(spec):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert "privileged" not in context, name


def test_no_pod_has_a_token_or_the_addresses_of_other_services(rendered: Rendered) -> None:
    for name, spec in rendered.pods().items():
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
    for name, account in rendered.of("ServiceAccount").items():
        assert account["automountServiceAccountToken"] is False, name


def test_each_workload_has_an_account_of_its_own(rendered: Rendered) -> None:
    assert set(rendered.of("ServiceAccount")) == set(rendered.workloads())
    for name in rendered.workloads():
        assert rendered.template(name)["spec"]["serviceAccountName"] == name


def test_every_container_has_requests_and_limits(rendered: Rendered) -> None:
    for name, spec in rendered.pods().items():
        for container in containers(spec):
            for kind in ("requests", "limits"):
                assert set(container["resources"][kind]) == {"cpu", "memory"}, name


def test_volumes_are_mounted_and_mounts_are_there(rendered: Rendered) -> None:
    claims = {
        name: {claim["metadata"]["name"] for claim in found["spec"]["volumeClaimTemplates"]}
        for name, found in rendered.of("StatefulSet").items()
    }
    for name, spec in rendered.pods().items():
        there = {volume["name"] for volume in spec.get("volumes", [])} | claims.get(name, set())
        mounted = {m["name"] for c in containers(spec) for m in c.get("volumeMounts", [])}
        assert there == mounted, name


def test_the_app_is_rolled_without_losing_a_replica(rendered: Rendered) -> None:
    for name in APP:
        deployment = rendered.one("Deployment", name)
        rolling = {"maxUnavailable": 0, "maxSurge": 1}
        assert deployment["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling}
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        rest = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert rest > 0
        # Each server ends by itself what takes too long, and then still saves and says what it has.
        ended = {"todo-frontend": "frontend/drain.mjs", "todo-backend": "backend/app/drain.py"}
        saving = seconds_to_save() if name == "todo-backend" else 0
        left = pod["terminationGracePeriodSeconds"] - rest - seconds_to_end(ended[name])
        assert left >= 3
        assert left > saving


def seconds_to_save() -> float:
    """The seconds that the backend takes at last for the answers that it was making."""
    text = (ROOT / "backend/app/answer.py").read_text()
    (found,) = re.findall(r"^SAVE_SECONDS = ([0-9.]+)$", text, re.MULTILINE)
    return float(found)


def seconds_to_end(path: str) -> float:
    """The seconds after which the server that is told to stop has ended, whatever it is asked."""
    text = (ROOT / path).read_text()
    limit = r"^(?:const )?(?:IDLE|REQUEST)_(MS|SECONDS) = ([0-9_]+);?$"
    found = re.findall(limit, text, re.MULTILINE)
    assert len(found) == 2, f"{path} says how long it waits for idle connections and for requests"
    return sum(int(number) / (1000 if unit == "MS" else 1) for unit, number in found)


def test_the_app_is_probed_at_its_start_and_from_then_on(rendered: Rendered) -> None:
    paths = {
        "todo-backend": ("/api/health/live", "/api/health"),
        "todo-frontend": ("/api/health", "/api/health/ready"),
    }
    for name, (live, ready) in paths.items():
        (container,) = rendered.template(name)["spec"]["containers"]
        assert container["startupProbe"]["httpGet"] == {"path": live, "port": "http"}
        assert container["livenessProbe"]["httpGet"] == {"path": live, "port": "http"}
        assert container["readinessProbe"]["httpGet"] == {"path": ready, "port": "http"}
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 30


def test_services_lead_to_the_pods_ports(rendered: Rendered) -> None:
    for name, service in rendered.of("Service").items():
        template = rendered.template(name)
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        ports = {p["name"] for c in template["spec"]["containers"] for p in c["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_budgets_let_one_pod_of_each_go(helm: Helm) -> None:
    rendered = helm.render(DEFAULTS)
    budgets = rendered.of("PodDisruptionBudget")
    assert set(budgets) == set(APP)
    for name, budget in budgets.items():
        assert budget["spec"]["maxUnavailable"] == 1
        labels = rendered.template(name)["metadata"]["labels"]
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert not helm.render({"podDisruptionBudget": {"enabled": False}}).of("PodDisruptionBudget")


@pytest.mark.parametrize(
    ("name", "requests", "limits"),
    [
        ("todo-backend", {"cpu": "200m", "memory": "256Mi"}, {"cpu": "1", "memory": "1Gi"}),
        ("todo-frontend", {"cpu": "100m", "memory": "128Mi"}, {"cpu": "500m", "memory": "512Mi"}),
    ],
)
def test_two_replicas_with_known_resources(
    helm: Helm, name: str, requests: Object, limits: Object
) -> None:
    deployment = helm.render(DEFAULTS).one("Deployment", name)
    assert deployment["spec"]["replicas"] == 2
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": requests, "limits": limits}


@pytest.mark.parametrize("replicas", [0, 1, 2, 5])
def test_replicas_are_what_was_asked_for(helm: Helm, replicas: int) -> None:
    asked = {"replicas": replicas}
    rendered = helm.render({"frontend": asked, "backend": asked})
    assert [rendered.one("Deployment", name)["spec"]["replicas"] for name in APP] == [replicas] * 2


def test_images_built_here_are_never_pulled(helm: Helm) -> None:
    rendered = helm.render(DEFAULTS)
    for name in APP:
        (container,) = rendered.template(name)["spec"]["containers"]
        assert container["imagePullPolicy"] == "Never", name
        assert container["image"] == f"{name}:local"
    assert rendered.pods()["todo-test"]["containers"][0]["imagePullPolicy"] == "Never"


@pytest.mark.parametrize("policy", ["Never", "IfNotPresent", "Always"])
@pytest.mark.parametrize("component", ["frontend", "backend", "postgres"])
def test_images_are_pulled_as_asked(helm: Helm, component: str, policy: str) -> None:
    image = {"repository": "r.example:5000/some", "tag": "0123", "pullPolicy": policy}
    rendered = helm.render(
        {component: {"image": image}, "imagePullSecrets": [{"name": "registry"}]}
    )
    for container in containers(rendered.template(f"todo-{component}")["spec"]):
        assert container["image"] == "r.example:5000/some:0123"
        assert container["imagePullPolicy"] == policy
    for spec in rendered.pods().values():
        assert spec["imagePullSecrets"] == [{"name": "registry"}]


def test_the_database_keeps_its_data(helm: Helm) -> None:
    rendered = helm.render({"postgres": {"storage": "3Gi", "storageClass": "fast"}})
    spec = rendered.one("StatefulSet", "todo-postgres")["spec"]
    kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["persistentVolumeClaimRetentionPolicy"] == kept
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"] == {"requests": {"storage": "3Gi"}}
    assert claim["spec"]["storageClassName"] == "fast"
    (container,) = spec["template"]["spec"]["containers"]
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == "data"]
    data = next(v["value"] for v in container["env"] if v["name"] == "PGDATA")
    assert data.startswith(f"{mount['mountPath']}/"), "beside what the volume's own root may hold"


def test_there_is_no_database_in_the_cluster_when_there_is_one_elsewhere(helm: Helm) -> None:
    for values in (EXTERNAL, existing("DATABASE_URL")):
        rendered = helm.render(values)
        left = [found for found in rendered.objects if "postgres" in found["metadata"]["name"]]
        assert left == []


@pytest.mark.parametrize(
    ("values", "workload", "reads", "without"),
    [
        (DEFAULTS, "todo-backend", {"POSTGRES_PASSWORD", "POSTGRES_HOST"}, {"DATABASE_URL"}),
        (DEFAULTS, "todo-frontend", {"POSTGRES_PASSWORD", "POSTGRES_HOST"}, {"DATABASE_URL"}),
        (EXTERNAL, "todo-backend", {"DATABASE_URL"}, {"POSTGRES_PASSWORD", "POSTGRES_HOST"}),
        (EXTERNAL, "todo-frontend", {"DATABASE_URL"}, {"POSTGRES_PASSWORD", "POSTGRES_HOST"}),
        (DEFAULTS, "todo-backend", {"MCP_API_KEY"}, {"OPENAI_API_KEY", "BETTER_AUTH_SECRET"}),
        (OPENAI, "todo-backend", {"OPENAI_API_KEY"}, set()),
        (OPENAI, "todo-frontend", {"BETTER_AUTH_SECRET"}, {"OPENAI_API_KEY", "MCP_API_KEY"}),
        (existing("OPENAI_API_KEY"), "todo-backend", {"OPENAI_API_KEY"}, {"DATABASE_URL"}),
        (
            existing("NEXT_PUBLIC_OPENAI_DOMAIN_KEY"),
            "todo-frontend",
            {"NEXT_PUBLIC_OPENAI_DOMAIN_KEY"},
            {"OPENAI_API_KEY"},
        ),
        (DEFAULTS, "todo-postgres", {"POSTGRES_PASSWORD"}, {"MCP_API_KEY", "BETTER_AUTH_SECRET"}),
    ],
)
def test_each_reads_its_own_secrets_and_no_other(
    helm: Helm, values: Object, workload: str, reads: set[str], without: set[str]
) -> None:
    variables = set(helm.render(values).env(workload))
    assert reads <= variables
    assert not without & variables


def test_the_test_pod_asks_both_services(helm: Helm) -> None:
    rendered = helm.render({"frontend": {"service": {"port": 8080}}})
    pod = rendered.one("Pod", "todo-test")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["restartPolicy"] == "Never"
    (container,) = pod["spec"]["containers"]
    assert container["args"] == [
        "http://todo-backend:8000/api/health",
        "http://todo-frontend:8080/",
    ]
