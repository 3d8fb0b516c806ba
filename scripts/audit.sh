#!/bin/sh
# Known vulnerabilities of everything that is locked and that functions, clients or deployment run. Fails as well if the
# package indexes do not say whether there are any.
set -eu
cd "$(dirname "$0")/.."
for group in api runner summarizer infra; do
    echo "=== $group"
    .local/tools/bin/uv tool run --from "pip-audit==2.10.1" pip-audit --disable-pip --require-hashes --strict \
        --requirement "locks/$group.txt"
done
echo "=== npm"
node=$(scripts/find-node.sh)
PATH=$node:$PATH
npm audit --omit=dev
(cd clients/web && npm audit --omit=dev)
