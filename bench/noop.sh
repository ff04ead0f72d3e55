#!/usr/bin/env bash
# How long a deploy takes that finds nothing to do, against a `helm upgrade --install` of the same chart and values
# that finds nothing to do either; and what `cargo xtask` adds over the binary that it runs.
#
#   XTASK_TEST_CONTEXT=PROFILE bench/noop.sh [RUNS]      31 of each by default, in turn
#
# Prints medians and ratios. Helm takes at least 5 times as long; 10 times is the goal.
. "$(dirname "$0")/project.sh"
runs=${1:-31}

project bench-noop
deploy
cd "$folder/checkout"
helm --kube-context "$context" --namespace "$namespace" get values todo --output json >"$folder/values.json"

ours() { "$xtask" deploy --quiet </dev/null; }
helms() {
    helm --kube-context "$context" --namespace bench-noop-helm upgrade --install todo helm/todo-chatbot \
        --create-namespace --values "$folder/values.json"
}
through_cargo() {
    cargo run --quiet --manifest-path "$workspace/Cargo.toml" --package xtask-launcher -- deploy --quiet </dev/null
}

# Helm gets a release of its own: a revision by somebody else is drift to a deploy, which would put it right.
# Its pods need what the Secret holds; nobody waits for them.
helms >"$folder/output"
trap 'helm --kube-context "$context" --namespace bench-noop-helm uninstall todo >"$folder/output" || true
    kubectl --context "$context" delete namespace bench-noop-helm --ignore-not-found >"$folder/output" || true
    clean_up' EXIT

ours; through_cargo; helms >"$folder/output"
load
for ((run = 0; run < runs; run++)); do
    timed ours ours
    timed helm helms
    timed cargo through_cargo
done
load
ours=$(median ours) helms=$(median helm) cargo=$(median cargo)
awk -v ours="$ours" -v helm="$helms" -v cargo="$cargo" 'BEGIN {
    printf "xtask deploy             %7.1f ms\n", ours
    printf "helm upgrade --install   %7.1f ms   %.1f times as long\n", helm, helm / ours
    printf "cargo xtask deploy       %7.1f ms   %.1f ms more\n", cargo, cargo - ours
}'
