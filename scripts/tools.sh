#!/bin/sh
# Install uv, pinned by hash, into .local/tools.
set -eu
cd "$(dirname "$0")/.."
python=$(scripts/python.sh)
if ! mkdir -p .local 2>/dev/null || ! [ -w .local ]; then
    echo "error: cannot write to $(pwd)/.local: make it writable" >&2
    exit 1
fi
rm -rf .local/tools
if ! "$python" -m venv .local/tools >.local/tools.log 2>&1; then
    echo "error: $python cannot make a virtual environment (on Debian: apt install python3.13-venv); see .local/tools.log" >&2
    rm -rf .local/tools
    exit 1
fi
.local/tools/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r scripts/uv.txt
touch .local/tools/.stamp
