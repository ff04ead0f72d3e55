#!/usr/bin/env bash
# From a saved file to the new answer over HTTP under `cargo xtask dev`: a Python file of the backend, a page of the
# frontend; from a changed dependency file to the answer of the new pod, against docker-env, docker build and helm upgrade
# --wait by hand; and what the loop takes while nothing happens.
#
#   XTASK_TEST_CONTEXT=PROFILE bench/dev.sh [RUNS]    10 of each by default
#   DOCKER=/usr/bin/docker names a client that has BuildKit in it (20.10 to 22)
#
# Wanted: Python 0.8 s (goal 0.5 s), Next.js 1.0 s, a dependency 0.8 of by hand, idle below 1 % and 60 MB.
. "$(dirname "$0")/project.sh"
runs=${1:-10} docker=${DOCKER:-/usr/bin/docker}

project bench-dev
deploy
cd "$folder/checkout"
helm --kube-context "$context" --namespace "$namespace" get values todo --output json >"$folder/values.json"

"$xtask" dev --format json >"$folder/events" 2>"$folder/errors" </dev/null &
loop=$!
end() { kill -INT "$loop" 2>/dev/null && wait "$loop" || true; clean_up; }
trap end EXIT

told() { # COUNT PATTERN: waits until so many lines of the events match
    until [[ $(grep -c "$2" "$folder/events") -ge $1 ]]; do
        kill -0 "$loop" || { cat "$folder/errors" >&2; exit 1; }
        sleep 0.02
    done
}
told 1 '"event":"watching"'
port() { sed -n "s/.*\"service\":\"$1\",\"local\":\"127.0.0.1:\([0-9]*\)\".*/\1/p" "$folder/events"; }
backend=$(port todo-backend) frontend=$(port todo-frontend)

answers() { # URL WORD: asks until the answer has the word in it
    until curl --silent --max-time 5 "$1" | grep -q "$2"; do sleep 0.01; done
}
python() { echo "VERSION = \"$word\"" >backend/app/__init__.py; answers "http://127.0.0.1:$backend/api/health" "$word"; }
page() {
    sed -i "s/title: \"[^\"]*\"/title: \"$word\"/" frontend/app/sign-in/page.tsx
    answers "http://127.0.0.1:$frontend/sign-in" "$word"
}
rebuild() {
    local before
    before=$(grep -c '"event":"done","step":"release:todo"' "$folder/events" || true)
    echo "# $word" >>backend/pyproject.toml
    # The old pods have gone by then.
    told $((before + 1)) '"event":"done","step":"release:todo"'
    answers "http://127.0.0.1:$backend/api/health" ok
}
# In a shell of its own: docker-env must not stay. The whole image, as it has to be by hand: the stage for `dev` has no
# sources. In the namespace of the loop's own release it would be drift to the loop, so a release of its own is upgraded.
by_hand=bench-dev-hand
hand() (
    echo "# $word" >>"$folder/by-hand/pyproject.toml"
    eval "$(minikube --profile "$context" docker-env --shell bash)" &&
        DOCKER_BUILDKIT=1 "$docker" build --quiet --tag "$by_hand/backend:$word" "$folder/by-hand" &&
        helm --kube-context "$context" --namespace "$by_hand" upgrade --install todo helm/todo-chatbot --wait \
            --values "$folder/values.json" --set "backend.image.repository=$by_hand/backend,backend.image.tag=$word"
)
kubectl --context "$context" create namespace "$by_hand" >"$folder/output"
trap 'helm --kube-context "$context" --namespace "$by_hand" uninstall todo >"$folder/output" || true
    kubectl --context "$context" delete namespace "$by_hand" --ignore-not-found >"$folder/output" || true
    end' EXIT
kubectl --context "$context" --namespace "$namespace" get secret todo-secrets --output json |
    jq 'del(.metadata.namespace, .metadata.uid, .metadata.resourceVersion, .metadata.managedFields)' |
    kubectl --context "$context" --namespace "$by_hand" apply --filename - >"$folder/output"
cp -r backend "$folder/by-hand"

each() { for ((run = 0; run < runs; run++)); do word=w$(now); timed "$1" "$1"; done; }
word=first
python; page
hand >"$folder/output" 2>&1 || { cat "$folder/output" >&2; exit 1; }
load
each python
each page
for ((run = 0; run < runs; run++)); do
    word=w$(now); timed rebuild rebuild
    # The new pod loads modules for its next restarts, which would cost the one by hand.
    sleep 8
    word=w$(now); timed hand hand
done
load
ticks() { awk '{ print $14 + $15 }' "/proc/$loop/stat"; }
before=$(ticks)
sleep 20
idle=$(awk -v ticks=$(($(ticks) - before)) -v hertz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f", ticks / hertz / 20 * 100 }')
memory=$(awk '/^VmRSS/ { printf "%.0f", $2 * 1024 / 1e6 }' "/proc/$loop/status")
awk -v python="$(median python)" -v page="$(median page)" -v ours="$(median rebuild)" -v hand="$(median hand)" \
    -v idle="$idle" -v memory="$memory" 'BEGIN {
    printf "Python edit    %7.0f ms\nNext.js edit   %7.0f ms\n", python, page
    printf "dependency     %7.0f ms\nby hand        %7.0f ms\nratio          %7.2f\n", ours, hand, ours / hand
    printf "idle           %7.2f %% of a core\nmemory         %7.0f MB\n", idle, memory
}'
