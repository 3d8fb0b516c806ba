#!/bin/sh
# Resolve the dependencies anew and write every lock: hashes, no addresses.
# `dev` holds everything and comes first; the others are constrained by it, so that a version is the same everywhere.
set -eu
cd "$(dirname "$0")/.."
uv=$(pwd)/.local/tools/bin/uv
compile() {
    "$uv" pip compile --quiet --python-version 3.13 --generate-hashes --no-emit-index-url --no-header "$@"
}
compile pyproject.toml --group dev --output-file locks/dev.txt
for group in api runner summarizer infra; do
    compile pyproject.toml --group "$group" --constraint locks/dev.txt --output-file "locks/$group.txt"
done
compile pyproject.toml --group mcp-server --output-file locks/mcp-server.txt
compile pyproject.toml --group bench-peers --output-file locks/bench-peers.txt
compile pyproject.toml --group api-clients --output-file locks/api-clients.txt
(cd localstack && compile pyproject.toml --group test --output-file requirements.lock)
node=$(scripts/find-node.sh)
PATH=$node:$PATH
npm install --package-lock-only --no-audit --no-fund --loglevel=error
(cd scripts/api_clients && npm install --package-lock-only --loglevel=error)
