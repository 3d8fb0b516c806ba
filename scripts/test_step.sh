#!/bin/sh
# A step of `make test`: test_step.sh STEP.  What it took, and what its tests said, goes to .local/reports; so does a mark
# if it fails, and the next one goes on.
set -u
cd "$(dirname "$0")/.."
dev=.local/venvs/dev/bin/python
local=.local/venvs/localstack/bin/python
reports=.local/reports
# A test that calls make must find what a user's shell has, not what this one was called with.
unset MAKEFLAGS MAKELEVEL MFLAGS

# In continuous integration: what of functions and shared the unit and integration tests of this process execute.
measured() {
    if [ -n "${CI:-}" ]; then
        echo coverage run "--data-file=$reports/coverage.$1" --source=functions,shared -m
    fi
}
export COVERAGE_CORE=sysmon

name=$1
case $name in
check) set -- make --no-print-directory check "COVERAGE=$(measured check)" ;;
api-clients) set -- "$dev" -m scripts.api_clients ;;
infra) set -- "$dev" -m pytest tests/infra "--junit-xml=$reports/infra.xml" ;;
localstack) set -- "$local" -m pytest tests/localstack "--junit-xml=$reports/localstack.xml" ;;
integration)
    # shellcheck disable=SC2046 # words, or none
    set -- "$local" -m suna_localstack.up with-services -- \
        "$dev" -m $(measured integration) pytest tests/integration "--junit-xml=$reports/integration.xml"
    ;;
e2e) set -- "$dev" -m pytest tests/e2e "--junit-xml=$reports/e2e.xml" ;;
web) set -- sh -c 'scripts/web.sh && cd clients/web && npm run --silent test' ;;
browser) set -- "$dev" -m pytest tests/browser "--junit-xml=$reports/browser.xml" ;;
*)
    echo "error: there is no step $name" >&2
    exit 2
    ;;
esac
started=$(date +%s)
printf '\n=== %s\n' "$name"
"$@" </dev/null || touch "$reports/failed.$name"
took=$(($(date +%s) - started))
echo "$took" >"$reports/$name.seconds"
printf '=== %s: %s s\n' "$name" "$took"
