#!/bin/sh
# Install FOLDER's packages (the CDK's command line, unless it is named) from its package-lock.json: node.sh [FOLDER]
set -eu
cd "$(dirname "$0")/.."
node=$(scripts/find-node.sh)
PATH=$node:$PATH
cd "${1:-.}"
echo "setting up ${1:+$1/}node_modules"
npm ci --no-audit --no-fund --loglevel=error
touch node_modules/.stamp
