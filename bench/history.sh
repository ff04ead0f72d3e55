#!/usr/bin/env bash
# How long a deploy of one changed value takes after one earlier revision, and after ten.
#
#   XTASK_TEST_CONTEXT=PROFILE bench/history.sh [ROUNDS]    3 by default, each in a release made anew
#
# Each change gives the backend's pods another environment, so every revision leaves a ReplicaSet behind: that is what
# slows `helm upgrade --wait` down. Prints the medians and their ratio, which is to be near 1.
. "$(dirname "$0")/project.sh"
rounds=${1:-3}

project bench-history
cd "$folder/checkout"
printf '\n[release.todo.set.config]\nMCP_DEFAULT_USER_ID = "0"\n' >>xtask.toml
change() {
    sed -i "s/^MCP_DEFAULT_USER_ID = .*/MCP_DEFAULT_USER_ID = \"$(now)\"/" xtask.toml
    deploy
}

load
for ((round = 0; round < rounds; round++)); do
    deploy
    timed one change
    for _ in 3 4 5 6 7 8 9 10; do change; done
    timed ten change
    helm --kube-context "$context" --namespace "$namespace" uninstall todo --wait >"$folder/output"
done
load
awk -v one="$(median one)" -v ten="$(median ten)" 'BEGIN {
    printf "after one revision   %7.0f ms\nafter ten revisions  %7.0f ms\nratio                %7.2f\n", one, ten, ten / one
}'
