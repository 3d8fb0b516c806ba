#!/bin/sh
# Print the path of a Python 3.13, or say what is missing.
set -eu
for name in ${PYTHON:-} python3.13 python3 python; do
    if "$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
        "$name" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done
echo "error: Python 3.13 is missing: install it so that \`python3.13\` is on PATH, or set PYTHON=<path>" >&2
exit 1
