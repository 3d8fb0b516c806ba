#!/bin/sh
# Every test after `make check`, fast ones first. All of them run, even after a failure; the exit code says if any failed.
set -u
cd "$(dirname "$0")/.."
dev=.local/venvs/dev/bin/python
local=.local/venvs/localstack/bin/python
failed=""

step() {
    name=$1
    shift
    started=$(date +%s)
    printf '\n=== %s\n' "$name"
    "$@" </dev/null || failed="$failed $name"
    printf '=== %s: %s s\n' "$name" "$(($(date +%s) - started))"
}

step infra "$dev" -m pytest tests/infra
step localstack "$local" -m pytest tests/localstack
step integration "$local" -m suna_localstack.up with-services -- "$dev" -m pytest tests/integration
step e2e "$dev" -m pytest tests/e2e
step web sh -c 'scripts/web.sh && cd clients/web && npm run --silent test'
step browser "$dev" -m pytest tests/browser

if [ -n "$failed" ]; then
    printf '\nFAILED:%s\n' "$failed"
    exit 1
fi
printf '\nall tests passed\n'
