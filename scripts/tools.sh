#!/bin/sh
# Install uv, pinned by hash, into .local/tools: made beside it and moved there when complete.
set -eu
cd "$(dirname "$0")/.."
python=$(scripts/python.sh)
fresh=.local/tools.$$
if ! mkdir -p "$fresh" 2>/dev/null; then
    echo "error: cannot write to $(pwd)/.local: make it writable" >&2
    exit 1
fi
trap 'rm -rf "$fresh"' EXIT
if ! "$python" -m pip --version >/dev/null 2>&1; then
    if ! "$python" -m venv "$fresh/venv" >/dev/null 2>&1; then
        echo "error: $python has neither pip nor venv (on Debian: apt install python3.13-venv)" >&2
        exit 1
    fi
    python=$fresh/venv/bin/python
fi
"$python" -m pip --disable-pip-version-check install --quiet --root-user-action=ignore \
    --require-hashes --no-deps --target "$fresh" -r scripts/uv.txt
touch "$fresh/.stamp"
rm -rf .local/tools
mv "$fresh" .local/tools
