#!/bin/sh
# Print the path of a Python that can install uv: 3.8 or newer, with pip, or with venv to make pip.
set -eu
for name in ${PYTHON:+"$PYTHON"} python3.13 python3 python; do
    if "$name" -c '
import sys
from importlib.util import find_spec
sys.exit(sys.version_info < (3, 8) or not (find_spec("pip") or (find_spec("venv") and find_spec("ensurepip"))))
' 2>/dev/null; then
        "$name" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done
exit 1
