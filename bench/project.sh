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
    sed "s/PROJECT/$namespace/; s/CONTEXT/$context/" "$workspace/tests/system/fixtures/app.toml" \
        >"$folder/checkout/xtask.toml"
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
