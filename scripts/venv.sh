#!/bin/sh
# Bring the virtual environment .local/venvs/NAME to LOCK: venv.sh NAME LOCK [PROJECT]
# PROJECT is installed from its sources, without its dependencies: they are in the lock.
# The paths inside it are absolute: in a clone that was moved or copied it is made anew, so its stamp's name tells where.
set -eu
cd "$(dirname "$0")/.."
name=$1 lock=$2 project=${3:-}
venv=.local/venvs/$name
stamp=$venv/.stamp-$(scripts/here.sh)
uv=.local/tools/bin/uv
log=.local/logs/venv-$name.log
echo "setting up $venv"
mkdir -p "$(dirname "$log")"
give_up() {
    echo "error: $venv cannot be set up ($(grep -m 1 -E '^ *(error|×|Caused by):? ' "$log" || tail -n 1 "$log")); see $log." \
        "If PyPI is not reached: check the network, or name a mirror in UV_DEFAULT_INDEX" >&2
    exit 1
}
if ! [ -e "$stamp" ] || ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
    python=$(scripts/python.sh)
    rm -rf "$venv"
    "$uv" venv --quiet --python "$python" "$venv" >"$log" 2>&1 || give_up
fi
"$uv" pip sync --quiet --require-hashes --python "$venv/bin/python" "$lock" >"$log" 2>&1 || give_up
if [ -n "$project" ]; then
    "$uv" pip install --quiet --no-deps --python "$venv/bin/python" --editable "$project" >"$log" 2>&1 || give_up
fi
touch "$stamp"
