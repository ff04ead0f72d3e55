# What every script measures with. To be sourced; makes $folder, which goes at the end.
set -euo pipefail

workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=$(realpath "${CARGO_TARGET_DIR:-$workspace/target}")
# The program that `cargo xtask` starts.
xtask=$target/tool/debug/xtask
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

build_tool() { (cd "$workspace" && cargo xtask --version >"$folder/output"); } # as people do: by using it

compile() { cargo build --quiet --manifest-path "$workspace/Cargo.toml" "$@"; } # CARGO'S ARGUMENTS...

now() { date +%s%N; } # for what has to differ each time

timed() { # NAME COMMAND...: appends milliseconds, in thousandths, to the file NAME
    local name=$1 start end
    shift
    # Without a program of its own, which would be timed as well.
    start=${EPOCHREALTIME/[.,]/}
    "$@" >"$folder/output" 2>&1 || { cat "$folder/output" >&2; return 1; }
    end=${EPOCHREALTIME/[.,]/}
    awk "BEGIN { printf \"%.3f\\n\", ($end - $start) / 1000 }" >>"$folder/$name"
}

median() { sort -n "$folder/$1" | awk '{ a[NR] = $1 } END { printf "%.1f\n", (a[int((NR + 1) / 2)] + a[int(NR / 2) + 1]) / 2 }'; }

load() { echo "load $(cut -d' ' -f1-3 /proc/loadavg) on $(nproc) cores, $(date +%F)"; }
