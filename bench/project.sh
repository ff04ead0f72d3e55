# A copy of this checkout's application with a graph file of its own, for scripts that deploy. To be sourced.
#
# XTASK_TEST_CONTEXT names the minikube profile; everything goes into the namespace that `project` is given, with one
# replica each and small requests, and `clean_up` takes it away again.
. "$(dirname "${BASH_SOURCE[0]}")/measure.sh"

context=${XTASK_TEST_CONTEXT:?names the minikube profile to measure on}
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
    build_tool
    mkdir "$folder/checkout"
    git -C "$workspace" ls-files -z backend frontend helm |
        (cd "$workspace" && xargs -0 cp --parents --target-directory "$folder/checkout")
    sed "s/PROJECT/$namespace/; s/CONTEXT/$context/" "$workspace/tests/system/fixtures/app.toml" \
        >"$folder/checkout/xtask.toml"
}

deploy() { (cd "$folder/checkout" && "$xtask" deploy --quiet "$@" </dev/null); }
