#!/bin/sh
# Install FOLDER's packages (the CDK's command line, unless it is named) from its package-lock.json: node.sh [FOLDER]
set -eu
cd "$(dirname "$0")/.."
node=$(scripts/find-node.sh)
PATH=$node:$PATH log=$(pwd)/.local/logs/npm.log
mkdir -p .local/logs
cd "${1:-.}"
echo "setting up ${1:+$1/}node_modules"
# A machine without the registry is told so at once, not after npm's own patience of minutes.
if ! npm ci --no-audit --no-fund --loglevel=error --fetch-retries=0 --fetch-timeout=20000 >"$log" 2>&1; then
    echo "error: npm could not install node_modules ($(grep -m 1 'npm error' "$log" || tail -n 1 "$log"); see $log):" \
        "check the network, or set npm_config_registry to a registry that answers" >&2
    exit 1
fi
touch node_modules/.stamp
