#!/bin/sh
# Install the CDK's command line into node_modules from package-lock.json.
set -eu
cd "$(dirname "$0")/.."
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "error: Node.js is missing: install Node.js 20 or newer, with npm (https://nodejs.org)" >&2
    exit 1
fi
echo "setting up node_modules"
npm ci --no-audit --no-fund --loglevel=error
touch node_modules/.stamp
