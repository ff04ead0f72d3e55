#!/usr/bin/env bash
# How long a deploy of a thousand steps takes that finds nothing to do: commands, each with a file that it reads and a
# file that it makes, ten behind one another and a hundred side by side. No cluster.
#
#   bench/graph.sh [RUNS]            31 by default
#
# Prints the median; the goal is 100 ms.
. "$(dirname "$0")/measure.sh"
runs=${1:-31}
build_tool

# What a thousand steps leave beside their locks names this folder, without slashes, and is of use to nobody.
trap 'find "/tmp/xtask-$UID" -name "*$(basename "$folder")*" -delete; rm -rf "$folder"' EXIT
mkdir -p "$folder/graph/"{in,out}
cd "$folder/graph"
for chain in $(seq -w 0 99); do
    echo "$chain" >"in/$chain"
    before=in/$chain
    for link in $(seq 0 9); do
        printf '[command.step-%s-%s]\n' "$chain" "$link"
        printf 'run = ["cp", "%s", "out/%s-%s"]\n' "$before" "$chain" "$link"
        printf 'inputs = ["%s"]\noutputs = ["out/%s-%s"]\n' "$before" "$chain" "$link"
        [[ $link = 0 ]] || printf 'after = ["command:step-%s-%s"]\n' "$chain" $((link - 1))
        before=out/$chain-$link
    done
done >xtask.toml

"$xtask" deploy --quiet </dev/null
"$xtask" deploy --quiet --format json </dev/null | grep -q '"ran":0,"fresh":1000' || { echo "not all fresh" >&2; exit 1; }
for ((run = 0; run < runs; run++)); do
    timed whole "$xtask" deploy --quiet </dev/null
done
load
echo "1,000 steps, all fresh: $(median whole) ms"
