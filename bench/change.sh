#!/usr/bin/env bash
# How long it takes from one changed file of the backend until its new pods are ready: a deploy, against docker-env,
# docker build, helm upgrade --wait and kubectl rollout restart by hand. Both build the same in the same daemon. By hand
# every build has one tag, as most people have it, so helm finds nothing to do and the restart begins the rollout.
# The checks that a deploy makes behind that have no counterpart and are left out.
#
#   XTASK_TEST_CONTEXT=PROFILE bench/change.sh [RUNS]    5 of each by default, in turn
#   DOCKER=/usr/bin/docker names a client that has BuildKit in it (20.10 to 22)
#
# Prints medians and their ratio, which is to be 0.9 at most.
. "$(dirname "$0")/project.sh"
runs=${1:-5} docker=${DOCKER:-/usr/bin/docker}

project bench-change
deploy
cd "$folder/checkout"
helm --kube-context "$context" --namespace "$namespace" get values todo --output json >"$folder/values.json"

# What a person has: a release of the same chart in a namespace of its own, with the same Secret in it.
by_hand=bench-change-hand
trap 'helm --kube-context "$context" --namespace "$by_hand" uninstall todo >"$folder/output" || true
    kubectl --context "$context" delete namespace "$by_hand" --ignore-not-found >"$folder/output" || true
    (eval "$(minikube --profile "$context" docker-env --shell bash)"
     "$docker" images --quiet "$by_hand/backend" | sort -u | xargs -r "$docker" rmi --force) >"$folder/output" || true
    clean_up' EXIT
kubectl --context "$context" create namespace "$by_hand" >"$folder/output"
kubectl --context "$context" --namespace "$namespace" get secret todo-secrets --output json |
    jq 'del(.metadata.namespace, .metadata.uid, .metadata.resourceVersion, .metadata.managedFields)' |
    kubectl --context "$context" --namespace "$by_hand" apply --filename - >"$folder/output"

# In a shell of its own: docker-env must not stay.
hand() (
    eval "$(minikube --profile "$context" docker-env --shell bash)" &&
        DOCKER_BUILDKIT=1 "$docker" build --progress plain --tag "$by_hand/backend:local" backend &&
        helm --kube-context "$context" --namespace "$by_hand" upgrade --install todo helm/todo-chatbot --wait \
            --values "$folder/values.json" \
            --set "backend.image.repository=$by_hand/backend,backend.image.tag=local" &&
        kubectl --context "$context" --namespace "$by_hand" rollout restart deployment/todo-backend &&
        kubectl --context "$context" --namespace "$by_hand" rollout status deployment/todo-backend
)
edit() { echo "# $(now)" >>backend/app/main.py; }

hand >"$folder/output" 2>&1 || { cat "$folder/output" >&2; exit 1; }
load
for ((run = 0; run < runs; run++)); do
    edit; timed ours deploy release:todo
    edit; timed hand hand
    # The old builder would flatter us: it sends everything, always.
    grep -q 'load build context' "$folder/output" || { echo "$docker did not use BuildKit" >&2; exit 1; }
done
load
awk -v ours="$(median ours)" -v hand="$(median hand)" 'BEGIN {
    printf "xtask deploy   %7.0f ms\nby hand        %7.0f ms\nratio          %7.2f\n", ours, hand, ours / hand
}'
