#!/bin/sh
# Every test, whatever fails before; the exit code says if any failed. What each step took, and which tests were the
# slowest, is printed at the end and kept in .local/reports.
set -u
cd "$(dirname "$0")/.."
reports=.local/reports
node=$(scripts/find-node.sh) || exit 1
export PATH="$node:$PATH"
began=$(date +%s)
rm -rf "$reports"
mkdir -p "$reports"

# What a step says is kept until it ends, or two would be mixed; that it has begun is told beside it.
MAKEFLAGS="" make --file scripts/test.mk --jobs 2 --output-sync=target 3>&1

if [ -n "${CI:-}" ]; then
    .local/venvs/dev/bin/python -m coverage combine --quiet --data-file="$reports/coverage" "$reports"/coverage.*
    printf '\ncoverage of functions and shared by unit and integration tests: %s %%\n' \
        "$(.local/venvs/dev/bin/python -m coverage report --data-file="$reports/coverage" --format=total)"
fi
.local/venvs/dev/bin/python -m scripts.test_report "$reports" $(($(date +%s) - began)) || touch "$reports/failed.report"
failed=$(cd "$reports" && ls failed.* 2>/dev/null | sed 's/^failed\.//' | tr '\n' ' ')
if [ -n "$failed" ]; then
    printf 'FAILED: %s\n' "$failed"
    exit 1
fi
