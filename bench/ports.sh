#!/usr/bin/env bash
# What a forwarded port costs: requests a second through it, each with a connection of its own or all through one,
# against `kubectl port-forward`; processor time of the program for a request; and how long after a new pod is ready a
# connection is answered that has waited while the only pod was killed.
#
#   XTASK_TEST_CONTEXT=PROFILE bench/ports.sh [REQUESTS [ROUNDS]]      300 and 10 by default
. "$(dirname "$0")/project.sh"

cargo build --quiet --manifest-path "$workspace/Cargo.toml" --package xtask
namespace=bench-ports
kubectl="kubectl --context $context --namespace $namespace"
trap 'kill "${ours:-}" "${theirs:-}" 2>/dev/null || true
    kubectl --context "$context" delete namespace "$namespace" --wait=false >/dev/null || true
    rm -rf "$folder"' EXIT

kubectl --context "$context" create namespace "$namespace" >/dev/null
$kubectl apply --filename "$workspace/tests/system/fixtures/server.yaml" >/dev/null
$kubectl rollout status deployment/server --timeout 120s >/dev/null

mkdir "$folder/forward"
printf 'project = "bench-ports"\n\n[cluster]\ndriver = "context"\ncontext = "%s"\n' "$context" >"$folder/forward/xtask.toml"
(cd "$folder/forward" && exec "$xtask" forward "$namespace/server:80=0" --format json </dev/null) >"$folder/ours" &
ours=$!
$kubectl port-forward service/server :80 >"$folder/theirs" &
theirs=$!
until [[ -s $folder/ours && -s $folder/theirs ]]; do sleep 0.1; done
port_of() { head -1 "$folder/$1" | grep -o '127.0.0.1:[0-9]*' | cut -d: -f2; }

load
python3 "$workspace/bench/ports.py" "$context" "$namespace" "$folder/ours" "$(port_of ours)" "$ours" "$(port_of theirs)" \
    "${1:-300}" "${2:-10}"
load
