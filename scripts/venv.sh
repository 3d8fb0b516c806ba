#!/bin/sh
# Bring the virtual environment .local/venvs/NAME to LOCK: venv.sh NAME LOCK [PROJECT]
# PROJECT is installed from its sources, without its dependencies: they are in the lock.
set -eu
cd "$(dirname "$0")/.."
name=$1 lock=$2 project=${3:-}
venv=.local/venvs/$name
uv=.local/tools/bin/uv
echo "setting up $venv"
if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
    rm -rf "$venv"
    "$uv" venv --quiet --python "$(scripts/python.sh)" "$venv"
fi
"$uv" pip sync --quiet --require-hashes --python "$venv/bin/python" "$lock"
if [ -n "$project" ]; then
    "$uv" pip install --quiet --no-deps --python "$venv/bin/python" --editable "$project"
fi
touch "$venv/.stamp"
