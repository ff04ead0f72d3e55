# A copy of this checkout's application with a graph file of its own, for scripts that deploy. To be sourced.
#
# XTASK_TEST_CONTEXT names the minikube profile; everything goes into the namespace that `project` is given, with one
# replica each and small requests, and `clean_up` takes it away again.
set -euo pipefail

workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
context=${XTASK_TEST_CONTEXT:?names the minikube profile to measure on}
xtask=$(realpath "${CARGO_TARGET_DIR:-$workspace/target}")/debug/xtask
folder=$(mktemp -d)
namespace=

clean_up() {
    if [[ -n $namespace && -d $folder/checkout ]]; then
        (cd "$folder/checkout" && "$xtask" teardown --data --quiet </dev/null) || true
        kubectl --context "$context" delete namespace "$namespace" --ignore-not-found >"$folder/output" || true
    fi
    rm -rf "$folder"
}
trap clean_up EXIT

project() { # NAMESPACE
    namespace=$1
    cargo build --quiet --manifest-path "$workspace/Cargo.toml" --package xtask
    mkdir "$folder/checkout"
    git -C "$workspace" ls-files -z backend frontend helm |
        (cd "$workspace" && xargs -0 cp --parents --target-directory "$folder/checkout")
    cat >"$folder/checkout/xtask.toml" <<END
project = "$namespace"

[cluster]
driver = "minikube"
profile = "$context"

[image.backend]
context = "backend"

[image.frontend]
context = "frontend"

[secrets.todo]
from = "helm/todo-chatbot/values-local.yaml"
key = "secrets"
generate = { BETTER_AUTH_SECRET = "hex:32", MCP_API_KEY = "hex:32", POSTGRES_PASSWORD = "hex:16" }
require = ["BETTER_AUTH_SECRET", "MCP_API_KEY"]
object = "todo-secrets"

[release.todo]
chart = "helm/todo-chatbot"
namespace = "$namespace"
values = ["helm/todo-chatbot/values-local.yaml"]
images = { "backend.image" = "backend", "frontend.image" = "frontend" }
secrets = ["todo"]

[release.todo.set.frontend]
replicas = 1
service = { type = "ClusterIP" }
resources = { requests = { cpu = "20m" } }

[release.todo.set.backend]
replicas = 1
resources = { requests = { cpu = "20m" } }

[release.todo.set.postgres]
resources = { requests = { cpu = "20m" } }

[check.frontend]
service = "todo-frontend:80"
get = "/"
fresh-for = "24h"

[check.backend]
service = "todo-backend:8000"
get = "/api/health"
json = { "/status" = "ok", "/database" = "ok" }
fresh-for = "24h"
END
}

deploy() { (cd "$folder/checkout" && "$xtask" deploy --quiet "$@" </dev/null); }

now() { date +%s%N; }

timed() { # NAME COMMAND...: appends milliseconds, in thousandths, to the file NAME
    local name=$1 start end
    shift
    start=$(now)
    "$@" >"$folder/output" 2>&1 || { cat "$folder/output" >&2; return 1; }
    end=$(now)
    awk "BEGIN { printf \"%.3f\\n\", ($end - $start) / 1000000 }" >>"$folder/$name"
}

median() { sort -n "$folder/$1" | awk '{ a[NR] = $1 } END { printf "%.1f\n", (a[int((NR + 1) / 2)] + a[int(NR / 2) + 1]) / 2 }'; }

load() { echo "load $(cut -d' ' -f1-3 /proc/loadavg) on $(nproc) cores, $(date +%F)"; }
