#!/usr/bin/env bash
# What the application is like for the people who use it: how long a first and a cached build take, how soon pods are
# ready, and how soon requests are answered while many people use it.
#
#   XTASK_TEST_CONTEXT=PROFILE bench/app.sh     some ten minutes
#
# Prints what docs/performance.md has from `## Measured` on. What is wanted, and of how many people, is in targets.json;
# ends with 1 if any of that is missed.
#
# Two replicas each with the chart's own limits, asked at the node's own address: on Linux with minikube's docker
# driver that is this machine. The first build is one that the node's daemon has no layers of: its build cache is
# emptied before, which costs whoever builds next.
. "$(dirname "$0")/project.sh"
port=31081

project bench-app
sed -i "s/service = { type = \"ClusterIP\" }/service = { type = \"NodePort\", nodePort = $port }/; s/^replicas = 1/replicas = 2/" \
    "$folder/checkout/xtask.toml"
kube() { kubectl --context "$context" --namespace "$namespace" "$@"; }
failed=0
# A row of the table, which says whether a figure in seconds is as low as wanted. NAME is one of targets.json.
judge() { # NAME DETAIL FIGURE
    local wanted missed=
    wanted=$(jq --exit-status --arg name "$1" '.longest[$name]' "$workspace/bench/targets.json")
    if [[ ! $3 =~ ^[0-9.]+$ ]] || awk "BEGIN { exit !($3 > $wanted) }"; then
        missed=", **missed**"
        failed=1
    fi
    echo "| $1$2 | $3 s | $wanted s$missed |" | tee -a "$folder/rows" >&2
}
build() { (cd "$folder/checkout" && "$xtask" deploy --quiet image:backend image:frontend </dev/null); }
seconds() { awk "BEGIN { printf \"%.1f\", $(median "$1") / 1000 }"; } # NAME
# Shell commands that point docker at the node, for a subshell of this script.
in_node() { (eval "$(cd "$folder/checkout" && "$xtask" env)" && "$@"); }

build
images=$(in_node docker image ls --quiet --filter "label=dev.xtask.project=$namespace" | sort -u)
in_node docker image rm --force $images >"$folder/output"
in_node docker builder prune --all --force >"$folder/output"
before=$(load)
timed first build
printf '\n# changed\n' >>"$folder/checkout/backend/app/__init__.py"
printf '\n// changed\n' >>"$folder/checkout/frontend/proxy.ts"
timed cached build
judge "both images: nothing cached" "" "$(seconds first)"
judge "both images: one file of each changed" "" "$(seconds cached)"

deploy
# The longest time from a pod's creation to the moment at which the kubelet found it ready; PostgreSQL has no target.
ready() { # COMPONENT
    kube get pods --selector "app.kubernetes.io/component=$1" --output json | jq --raw-output '
        [.items[] | select(.metadata.deletionTimestamp == null)
         | (.status.conditions[] | select(.type == "Ready" and .status == "True").lastTransitionTime | fromdate)
           - (.metadata.creationTimestamp | fromdate)] | max'
}
for component in frontend backend; do
    judge "pods of $component: ready" ", at their first install" "$(ready $component)"
done
echo "| pod of PostgreSQL: ready, likewise | $(ready postgres) s | |" | tee -a "$folder/rows" >&2
for component in frontend backend; do
    kube rollout restart "deployment/todo-$component" >"$folder/output"
    kube rollout status "deployment/todo-$component" --timeout=180s >"$folder/output"
    judge "pods of $component: ready" ", one after the other while the others serve" "$(ready $component)"
done
address=$(kube get nodes --output 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}')
seed="kubectl --context $context --namespace $namespace exec --stdin todo-postgres-0 -- psql --quiet --username=todo todo"
python3 "$workspace/bench/app.py" "http://$address:$port" "$seed" >"$folder/answers" || failed=1
restarts=$(kube get pods --output json | jq '[.items[].status.containerStatuses[]?.restartCount] | add')
[[ $restarts == 0 ]] || failed=1

version() { kubectl --context "$context" version --output json | jq --raw-output .serverVersion.gitVersion; }
cat <<EOF
## Measured

\`bench/app.sh\` at commit $(git -C "$workspace" rev-parse --short HEAD), $(. /etc/os-release && echo "$PRETTY_NAME"),
$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), minikube $(minikube version --short) with Kubernetes $(version) in docker on the same machine;
$before,
and $(load | cut -d' ' -f2-4) at the end. The requests came from that machine, too, each over a new connection to the
frontend's NodePort at the node's own address. Listed are the first 100 of a person's tasks by due date.

$(cat "$folder/answers") Containers were started again $restarts times.

| what | measured | wanted |
| --- | --- | --- |
$(cat "$folder/rows")
EOF
# What the cleaning up says is no part of the document.
exec >&2
exit "$failed"
