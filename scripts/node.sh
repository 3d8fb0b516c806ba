#!/bin/sh
# Install the CDK's command line into node_modules from package-lock.json.
set -eu
cd "$(dirname "$0")/.."
node=$(scripts/find-node.sh)
PATH=$node:$PATH
echo "setting up node_modules"
npm ci --no-audit --no-fund --loglevel=error
touch node_modules/.stamp
