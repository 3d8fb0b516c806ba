#!/bin/sh
# Print the path of a Python 3.13: PYTHON, the machine's, or one that uv fetches into .local/python.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."
path_of() { "$1" -c 'import sys; print(sys.executable); sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; }

if [ -n "${PYTHON:-}" ]; then
    path_of "$PYTHON" && exit 0
    echo "error: PYTHON=$PYTHON is no Python 3.13: set it to the path of one, or unset it" >&2
    exit 1
fi
for name in python3.13 python3 python; do
    if path=$(path_of "$name"); then
        echo "$path"
        exit 0
    fi
done
uv=.local/tools/bin/uv log=.local/logs/python.log
UV_PYTHON_INSTALL_DIR=$(pwd)/.local/python
export UV_PYTHON_INSTALL_DIR
mkdir -p "$(dirname "$log")"
if ! "$uv" python install --no-bin --quiet 3.13 2>"$log" || ! "$uv" python find --managed-python 3.13 2>>"$log"; then
    echo "error: there is no Python 3.13, and uv cannot fetch it (see $log): install it as \`python3.13\` on PATH," \
        "or set PYTHON=<path>" >&2
    exit 1
fi
