#!/usr/bin/env bash
# How long it takes to find out that no file changed, against `git status` on the same tree, as whole processes: the
# verdict on the files alone, by the engine's example program `verdict_files`, and a whole deploy of a graph file with
# one command that reads them all.
#
#   bench/files.sh [RUNS]            21 runs of each by default, in turn, so that both meet the same noise
#
# Trees of 20,000 and 100,000 files are made in a temporary folder, committed, and looked at once by both before
# anything is timed. Prints the medians and the ratios of both to git's; the goals for the verdict are 0.5 and 0.4, and at
# most 0.6 for either tree.
. "$(dirname "$0")/measure.sh"
runs=${1:-21}
build_tool
compile --package engine --example verdict_files
verdict=$target/debug/examples/verdict_files

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

deploy() { (cd "$1" && "$xtask" deploy --quiet "${@:2}" </dev/null); } # FOLDER FLAGS...

printf '%10s  %14s  %14s  %14s  %s\n' files verdict deploy 'git status' ratios
for files in 20000 100000; do
    project=$folder/$files root=$folder/$files/tree cache=$folder/$files.cache
    make_tree "$root" "$files"
    printf '[command.look]\nrun = ["true"]\ninputs = ["tree/**"]\n' >"$project/xtask.toml"
    for _ in 1 2; do
        "$verdict" "$root" "$cache" >"$folder/output"
        deploy "$project"
        git -C "$root" status >"$folder/output"
    done
    deploy "$project" --format json | grep -q '"ran":0,"fresh":1' || { echo "not fresh" >&2; exit 1; }
    for ((run = 0; run < runs; run++)); do
        timed "$files.verdict" "$verdict" "$root" "$cache"
        timed "$files.deploy" deploy "$project"
        timed "$files.git" git -C "$root" status
    done
    awk -v files="$files" -v verdict="$(median "$files.verdict")" -v deploy="$(median "$files.deploy")" \
        -v git="$(median "$files.git")" 'BEGIN {
            form = "%10d  %11.1f ms  %11.1f ms  %11.1f ms  %.2f and %.2f\n"
            printf form, files, verdict, deploy, git, verdict / git, deploy / git
        }'
done
load
