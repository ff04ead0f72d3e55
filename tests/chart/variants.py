"""The combinations of values that matter, by name: what holds for every chart holds for these."""

from chart import Object

DEFAULTS: Object = {}
EXTERNAL: Object = {"secrets": {"DATABASE_URL": "postgresql://u:p@db.example/todo?sslmode=require"}}
OPENAI: Object = {"secrets": {"OPENAI_API_KEY": "sk-test"}}


def service(component: str, kind: str, node_port: int | None = None) -> Object:
    return {component: {"service": {"type": kind, "nodePort": node_port}}}


def existing(*present: str) -> Object:
    return {"secrets": {"existingSecret": "kept-elsewhere", "present": list(present)}}


def ingress(**more: object) -> Object:
    return {
        "ingress": {"enabled": True, "host": "todo.example", **more},
        "config": {"CORS_ORIGINS": "http://todo.example"},
    }


VARIANTS: dict[str, Object] = {
    "defaults": DEFAULTS,
    "database elsewhere": EXTERNAL,
    "database elsewhere, with OpenAI": {"secrets": EXTERNAL["secrets"] | OPENAI["secrets"]},
    "OpenAI": OPENAI,
    "ChatKit": {"secrets": {"NEXT_PUBLIC_OPENAI_DOMAIN_KEY": "domain_pk_test"}},
    "another provider": {
        "secrets": OPENAI["secrets"],
        "config": {"OPENAI_BASE_URL": "https://models.example/v1", "OPENAI_MODEL": "some-model"},
    },
    "all secrets given": {
        "secrets": {
            "POSTGRES_PASSWORD": "a 'quoted' $word",
            "BETTER_AUTH_SECRET": "s" * 40,
            "BETTER_AUTH_SECRET_PREVIOUS": "r" * 40,
            "MCP_API_KEY": "m" * 40,
            "OPENAI_API_KEY": "sk-test",
            "NEXT_PUBLIC_OPENAI_DOMAIN_KEY": "domain_pk_test",
        }
    },
    "existing Secret": existing("POSTGRES_PASSWORD", "BETTER_AUTH_SECRET", "MCP_API_KEY"),
    "existing Secret, database elsewhere": existing("DATABASE_URL", "BETTER_AUTH_SECRET"),
    "existing Secret with everything": existing(
        "DATABASE_URL",
        "BETTER_AUTH_SECRET",
        "BETTER_AUTH_SECRET_PREVIOUS",
        "MCP_API_KEY",
        "OPENAI_API_KEY",
        "NEXT_PUBLIC_OPENAI_DOMAIN_KEY",
    ),
    "frontend ClusterIP": service("frontend", "ClusterIP"),
    "frontend ClusterIP that keeps its number": service("frontend", "ClusterIP", 30080),
    "frontend NodePort of the cluster's choice": service("frontend", "NodePort"),
    "frontend LoadBalancer": service("frontend", "LoadBalancer"),
    "backend NodePort": service("backend", "NodePort", 30800),
    "backend LoadBalancer": service("backend", "LoadBalancer"),
    "other ports": {
        "frontend": {"service": {"port": 8080}},
        "backend": {"service": {"port": 9000}},
    },
    "ingress": ingress(),
    "ingress with TLS": ingress(
        className="nginx", tlsSecret="todo-tls", annotations={"example.org/note": "true"}
    )
    | {"config": {"CORS_ORIGINS": "https://todo.example", "TRUSTED_PROXIES": "10.0.0.0/8"}},
    "one replica each": {"frontend": {"replicas": 1}, "backend": {"replicas": 1}},
    "images from a registry": {
        "frontend": {
            "image": {"repository": "r.example:5000/f", "tag": "1", "pullPolicy": "Always"}
        },
        "backend": {"image": {"tag": "1", "pullPolicy": "IfNotPresent"}},
        "imagePullSecrets": [{"name": "registry"}],
    },
    "a tag that looks like a number": {"backend": {"image": {"tag": "0123456789"}}},
    "storage": {"postgres": {"storage": "2.5Gi", "storageClass": "standard"}},
    "several origins": {"config": {"CORS_ORIGINS": "https://todo.example, http://localhost:30080"}},
    "services elsewhere": {
        "config": {
            "BACKEND_URL": "https://api.example",
            "BETTER_AUTH_URL": "https://todo.example",
        }
    },
    "no policies, no budgets": {
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
    },
}
