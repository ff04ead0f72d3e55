#!/usr/bin/env bash
# What the application is like for the people who use it: how long a first and a cached build take, how soon pods are
# ready, and how soon requests are answered while many people use it. docs/performance.md says what is wanted.
#
#   XTASK_TEST_CONTEXT=PROFILE bench/app.sh [PEOPLE [TASKS [STREAMS]]]      20 people with 1,000 tasks each, 50 streams
#
# Two replicas each with the chart's own limits, asked at the node's own address: on Linux with minikube's docker
# driver that is this machine. The first build is one that the node's daemon has no layers of: its build cache is
# emptied before, which costs whoever builds next.
. "$(dirname "$0")/project.sh"
people=${1:-20} tasks=${2:-1000} streams=${3:-50}
port=31081

project bench-app
sed -i "s/service = { type = \"ClusterIP\" }/service = { type = \"NodePort\", nodePort = $port }/; s/^replicas = 1/replicas = 2/" \
    "$folder/checkout/xtask.toml"
kube() { kubectl --context "$context" --namespace "$namespace" "$@"; }
build() { (cd "$folder/checkout" && "$xtask" deploy --quiet image:backend image:frontend </dev/null); }
# Shell commands that point docker at the node, for a subshell of this script.
in_node() { (eval "$(cd "$folder/checkout" && "$xtask" env)" && "$@"); }

build
images=$(in_node docker image ls --quiet --filter "label=dev.xtask.project=$namespace" | sort -u)
in_node docker image rm --force $images >"$folder/output"
in_node docker builder prune --all --force >"$folder/output"
load
timed first build
printf '\n# changed\n' >>"$folder/checkout/backend/app/__init__.py"
printf '\n// changed\n' >>"$folder/checkout/frontend/proxy.ts"
timed cached build
echo "both images: first build $(median first) ms, with one file of each changed $(median cached) ms"

deploy
# From the pod's creation to the moment at which the kubelet found it ready.
kube get pods --output json | jq --raw-output '
    .items[] | select(.metadata.deletionTimestamp == null)
    | [.metadata.labels["app.kubernetes.io/component"],
       ((.status.conditions[] | select(.type == "Ready" and .status == "True").lastTransitionTime | fromdate)
        - (.metadata.creationTimestamp | fromdate))]
    | "pod of \(.[0]) ready after \(.[1]) s, at its first install"'
for component in frontend backend; do
    kube rollout restart "deployment/todo-$component" >"$folder/output"
    kube rollout status "deployment/todo-$component" --timeout=180s >"$folder/output"
    kube get pods --selector "app.kubernetes.io/component=$component" --output json | jq --raw-output --arg name "$component" '
        [.items[] | select(.metadata.deletionTimestamp == null)
         | (.status.conditions[] | select(.type == "Ready" and .status == "True").lastTransitionTime | fromdate)
           - (.metadata.creationTimestamp | fromdate)]
        | "pods of \($name) ready after \(max) s at most, one after the other while the others serve"'
done
address=$(kube get nodes --output 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}')
seed="kubectl --context $context --namespace $namespace exec --stdin todo-postgres-0 -- psql --quiet --username=todo todo"
load
python3 "$workspace/bench/app.py" "http://$address:$port" "$people" "$tasks" "$streams" "$seed" || failed=1
load
kube get pods --output json | jq --raw-output '
    [.items[].status.containerStatuses[]? | .restartCount] | "\(add) restarts of \(length) containers"'
exit "${failed:-0}"
