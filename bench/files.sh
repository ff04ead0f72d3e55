#!/usr/bin/env bash
# How long it takes to find out that no file changed, against `git status` on the same tree, as whole processes.
#
#   bench/files.sh [RUNS]            21 runs of each by default, in turn, so that both meet the same noise
#
# Trees of 20,000 and 100,000 files are made in a temporary folder, committed, and looked at once by both before
# anything is timed. Prints the medians and their ratio; the goals are 0.5 and 0.4, and at most 0.6 for either.
. "$(dirname "$0")/measure.sh"
runs=${1:-21}
compile --package engine --example verdict_files
verdict=$target/examples/verdict_files

# Twenty files in a directory, a hundred directories in a package: about what checkouts look like.
make_tree() { # ROOT FILES
    local root=$1 directory
    mkdir -p "$root"
    for ((i = 0; i < $2 / 20; i++)); do
        printf -v directory '%s/package%03d/module%02d' "$root" $((i / 100)) $((i % 100))
        mkdir -p "$directory"
        for ((j = 0; j < 20; j++)); do
            printf '%0*d\n' $((i * j % 400 + 1)) "$i" >"$directory/file$j.py"
        done
    done
    echo .git >"$root/.dockerignore"
    git -C "$root" init --quiet
    git -C "$root" config gc.auto 0
    git -C "$root" add --all
    git -C "$root" -c user.name=bench -c user.email=bench@localhost commit --quiet --message tree
}

printf '%10s  %14s  %14s  %s\n' files verdict 'git status' ratio
for files in 20000 100000; do
    root=$folder/$files cache=$folder/$files.cache
    make_tree "$root" "$files"
    for _ in 1 2; do
        "$verdict" "$root" "$cache" >"$folder/output"
        git -C "$root" status >"$folder/output"
    done
    for ((run = 0; run < runs; run++)); do
        timed "$files.verdict" "$verdict" "$root" "$cache"
        timed "$files.git" git -C "$root" status
    done
    ours=$(median "$files.verdict") gits=$(median "$files.git")
    awk -v files="$files" -v ours="$ours" -v gits="$gits" \
        'BEGIN { printf "%10d  %11.1f ms  %11.1f ms  %.2f\n", files, ours, gits, ours / gits }'
done
load
