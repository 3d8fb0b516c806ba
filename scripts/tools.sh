#!/bin/sh
# Install uv, pinned by hash, into .local/tools: made beside it and moved there when complete.
set -eu
cd "$(dirname "$0")/.."
scripts/system.sh python
python=$(scripts/any-python.sh)
fresh=.local/tools.$$ log=.local/logs/tools.log
mkdir "$fresh"
trap 'rm -rf "$fresh"' EXIT
give_up() { # a traceback says its cause last
    echo "error: uv cannot be installed from PyPI ($(grep -m 1 '^ERROR: .*[^:]$' "$log" || tail -n 1 "$log")); see $log" >&2
    exit 1
}
if ! "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv "$fresh/venv" >"$log" 2>&1 || give_up
    python=$fresh/venv/bin/python
fi
"$python" -m pip --disable-pip-version-check install --quiet --root-user-action=ignore \
    --require-hashes --no-deps --target "$fresh" -r scripts/uv.txt >"$log" 2>&1 || give_up
rm -rf "$fresh/venv"
touch "$fresh/.stamp"
rm -rf .local/tools
mv "$fresh" .local/tools
