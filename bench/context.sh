#!/usr/bin/env bash
# Ratio of our builds to the docker client's with BuildKit, for a context of 5,000 files and 200 MB in which nothing,
# or one file, has changed since the build before. Both in one run, taking turns, on the daemon of this machine.
#
# Ours is the example program of the crate that builds, `build`: a deploy would not build what is unchanged at all.
#
#   bench/context.sh [ROUNDS]        DOCKER=/usr/bin/docker names a client that has BuildKit in it (20.10 to 22)
. "$(dirname "$0")/measure.sh"
rounds=${1:-10}
docker=${DOCKER:-/usr/bin/docker}
tag=xtask-buildkit-bench
cleanup() {
  rm -rf "$folder"
  # With those whose names went to a later build.
  "$docker" image ls --quiet --filter "label=$tag" | sort -u | xargs -r "$docker" image rm -f >/dev/null 2>&1 || true
}
trap cleanup EXIT

compile --package buildkit --example build
ours=$target/debug/examples/build

mkdir "$folder/context"
for d in $(seq 50); do
  mkdir "$folder/context/d$d"
  # Each file differs from the others; 40 KiB of noise, cut from one stream.
  head -c $((100 * 40960)) /dev/urandom | split -b 40960 -a 3 -d - "$folder/context/d$d/f"
done
printf 'FROM scratch\nLABEL %s=1\nCOPY . /\n' "$tag" > "$folder/Dockerfile"

build_ours() { "$ours" "$folder/context" "$folder/Dockerfile" "$tag:ours" "$folder/digests" 2>"$folder/ours.log" >/dev/null; }
build_theirs() {
  DOCKER_BUILDKIT=1 "$docker" build --progress plain -f "$folder/Dockerfile" -t "$tag:theirs" "$folder/context" >"$folder/theirs.log" 2>&1
  # The old builder would flatter us: it sends everything, always.
  grep -q 'load build context' "$folder/theirs.log" || { echo "$docker did not use BuildKit" >&2; exit 1; }
}
edit() { head -c 40960 /dev/urandom > "$folder/context/d7/f007"; }

build_ours; build_theirs
for _ in $(seq "$rounds"); do
  timed unchanged-ours build_ours; timed unchanged-theirs build_theirs
done
for _ in $(seq "$rounds"); do
  edit; timed changed-ours build_ours
  edit; timed changed-theirs build_theirs
done
load
status=0
for what in unchanged:0.8 changed:1.2; do
  name=${what%:*} goal=${what#*:}
  a=$(median "$name-ours") b=$(median "$name-theirs")
  ratio=$(awk "BEGIN { printf \"%.2f\", $a / $b }")
  echo "$name: ours $a ms, docker client $b ms, ratio $ratio (goal $goal)"
  awk "BEGIN { exit !($ratio <= $goal) }" || status=1
done
exit $status
