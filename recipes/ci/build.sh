#!/bin/sh
# Build the executables of a recipe, test them, and say what came out. For any CI and any terminal.
set -eu

usage() {
    cat >&2 <<'END'
usage: build.sh RECIPE [-o FOLDER] [--target NAME] [--unlocked] [--offline] [--no-test] [--sign]

  -o FOLDER      where the executables go; default: executables
  --target NAME  only this one
  --unlocked     without insisting on the recipe's lock
  --offline      fetch no model: use what is in the caches
  --no-test      do not run the recipe's tests
  --sign         run the recipe's signing command

INGOT names the command; default: ingot. Where GITHUB_OUTPUT and GITHUB_STEP_SUMMARY name files,
paths, hashes and the table are appended to them.
END
    exit 2
}

ingot=${INGOT:-ingot}
recipe='' folder=executables target='' locked=--locked offline='' tests=yes sign=no
while [ $# -gt 0 ]; do
    case $1 in
        -o) folder=${2:?-o needs a folder}; shift ;;
        --target) target=${2:?--target needs a name}; shift ;;
        --unlocked) locked='' ;;
        --offline) offline=--offline ;;
        --no-test) tests=no ;;
        --sign) sign=yes ;;
        -*) usage ;;
        *) [ -z "$recipe" ] || usage; recipe=$1 ;;
    esac
    shift
done
[ -n "$recipe" ] || usage

of_this() {
    verb=$1
    shift
    "$ingot" "$verb" "$recipe" -o "$folder" ${target:+--target "$target"} "$@"
}

# --force: a job that is run again, or a folder from yesterday, is no reason to stop.
of_this build --force ${locked:+"$locked"} ${offline:+"$offline"}
status=0
[ "$tests" = no ] || of_this test --record --if-any || status=$?
# The summary names the tests that failed, so it comes in any case; a signature does not.
[ "$sign" = no ] || [ "$status" -ne 0 ] || of_this sign
of_this summary
exit "$status"
