#!/usr/bin/env bash
# What a first `cargo xtask deploy` takes on a machine that has Rust and nothing of ours: until the application answers,
# and of the disk. Then what it takes once the node was stopped, against `minikube start` and waiting for the pods by
# hand, in turn.
#
#   bench/dayzero.sh [ROUNDS]      3 of each by default;  PORT=31098 is the application's port on this machine
#   KILLS=10 bench/dayzero.sh 1    the first deploy is killed ten times at random moments, then has to carry on and finish
#
# The checkout is a fresh clone, and the home folder an empty one but for the settings that say where packages come
# from; tools are found in the system's own folders only. A daemon that runs is used: what its build cache has of an
# earlier first run is not built again, and `docker builder prune --all` before makes the machine new in that, too.
# Wanted: 20 minutes at most until it answers, goal 15; 15 GB of disk at most meanwhile and 6 GB afterwards, the
# engine's images included; 60 s at most after a stop.
. "$(dirname "$0")/measure.sh"
rounds=${1:-3} kills=${KILLS:-0} port=${PORT:-31098} profile=bench-day-zero home=$folder/home checkout=$folder/checkout

git clone --quiet "$workspace" "$checkout"
sed -i "s/^profile .*/profile = \"$profile\"/; s/127.0.0.1:30080:/127.0.0.1:$port:/" "$checkout/xtask.toml"
mkdir "$home"
(cd "$HOME" && for setting in .npmrc .config/go/env .config/pip .config/uv .docker/config.json; do
    if [[ -e $setting ]]; then cp -r --parents "$setting" "$home"; fi
done)
rust=$(dirname "$(command -v cargo)")
bare=(env HOME="$home" CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
    PATH="$rust:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")

clean_up() {
    kill "$sampler" 2>/dev/null || true
    (cd "$checkout" && "${bare[@]}" cargo xtask teardown --cluster --data </dev/null) >"$folder/output" 2>&1 ||
        cat "$folder/output" >&2
    chmod -R u+w "$home" # Go's modules are read-only.
    rm -rf "$folder"
}
trap clean_up EXIT

used() { df --block-size=1MB --output=used / | tail -1; } # MB
answers() { until curl --silent --fail --output /dev/null "http://localhost:$port/sign-in"; do sleep 0.1; done; }
ours() { (cd "$checkout" && "${bare[@]}" cargo xtask deploy --yes </dev/null) && answers; }
hand() {
    "${bare[@]}" "$minikube" start --profile "$profile" "${force[@]}" &&
        "${bare[@]}" "$kubectl" --context "$profile" --namespace todo rollout status statefulset,deployment && answers
}

# Starts the first deploy and kills it within two minutes: all of its group, or by turns the tool alone, whose children
# then go on unseen.
killed() {
    local seconds=$((RANDOM % 120 + 1)) target
    (cd "$checkout" && exec setsid "${bare[@]}" cargo xtask deploy --yes </dev/null) >>"$folder/killed" 2>&1 &
    target=$!
    sleep "$seconds"
    if (($1 % 2)); then
        kill -KILL -- "-$target" # The leader of its group.
    else
        pkill -KILL --session "$target" --exact xtask || kill -KILL "$target"
    fi
    wait "$target" 2>/dev/null || true
    echo "killed after $seconds s in: $(tail -1 "$folder/killed")"
}

before=$(used)
while sleep 2; do used; done >"$folder/disk" &
sampler=$!
load
# What cargo compiles is no concern of the campaign.
if ((kills)); then (cd "$checkout" && "${bare[@]}" cargo xtask --version >"$folder/output"); fi
for ((kill = 0; kill < kills; kill++)); do killed "$kill"; done
timed first ours
kill "$sampler"
load
echo "first deploy, compiling included, after $kills that were killed: $(awk '{ printf "%.0f", $1 / 1000 }' "$folder/first") s"
echo "disk: $(($(sort -n "$folder/disk" | tail -1) - before)) MB at most meanwhile, $(($(used) - before)) MB afterwards"

got() { "${bare[@]}" bash -c "command -v $1" || echo "$home"/.cache/xtask/dayzero/out/*/"$1"; } # on PATH, or by the deploy
minikube=$(got minikube) kubectl=$(got kubectl) force=()
if [[ $EUID -eq 0 ]]; then force=(--force); fi # What minikube asks root for.
for ((round = 0; round < rounds; round++)); do
    "${bare[@]}" "$minikube" stop --profile "$profile" >"$folder/output" 2>&1
    timed ours ours
    "${bare[@]}" "$minikube" stop --profile "$profile" >"$folder/output" 2>&1
    timed hand hand
done
load
awk -v ours="$(median ours)" -v hand="$(median hand)" 'BEGIN {
    printf "after a stop   %7.1f s\nby hand        %7.1f s\nratio          %7.2f\n", ours / 1000, hand / 1000, ours / hand
}'
