#!/bin/sh
# Build the chat page into clients/web/dist, unless it is built from exactly these sources.
#   web.sh             fails if it cannot be built
#   web.sh --optional  says why, and succeeds: the stack serves its APIs without the page
set -eu
cd "$(dirname "$0")/../clients/web"
local=../../.local
stamp=$local/web.sha256 log=$local/logs/web.log

sources() {
    find index.html docs.html .npmrc package.json package-lock.json tsconfig.json vite.config.ts public src -type f | LC_ALL=C sort
}
made_from=$(sources | xargs sha256sum | sha256sum | cut -d ' ' -f 1)
is_built() { [ -e dist/index.html ] && [ "$(cat "$stamp" 2>/dev/null)" = "$made_from" ]; }
if is_built; then
    exit 0
fi
mkdir -p "$(dirname "$log")"
# Two starts at once build it once.
exec 9>"$local/web.lock"
flock 9
if is_built; then
    exit 0
fi

give_up() {
    if [ "${1:-}" = "--optional" ] && [ -e dist/index.html ]; then
        echo "note: the chat page is an older build: $2" >&2
    elif [ "${1:-}" = "--optional" ]; then
        echo "note: no chat page: $2" >&2
    else
        echo "error: the chat page cannot be built: $2" >&2
        exit 1
    fi
    exit 0
}

if ! node=$(../../scripts/find-node.sh 2>"$log"); then
    give_up "${1:-}" "$(sed -n 's/^error: //p' "$log")"
fi
PATH=$node:$PATH
lock=$(sha256sum package.json package-lock.json | sha256sum | cut -d ' ' -f 1)
if [ "$(cat node_modules/.stamp 2>/dev/null)" != "$lock" ]; then
    echo "installing the chat page's packages"
    # A machine without the registry is told so at once, not after npm's own patience of minutes.
    if ! npm ci --no-audit --no-fund --loglevel=error --fetch-retries=0 --fetch-timeout=20000 >"$log" 2>&1; then
        give_up "${1:-}" "npm could not install its packages (see .local/logs/web.log); then run 'make web'"
    fi
    echo "$lock" >node_modules/.stamp
fi
echo "building the chat page"
if ! npm run --silent build >"$log" 2>&1; then
    give_up "${1:-}" "its build failed (see .local/logs/web.log)"
fi
echo "$made_from" >"$stamp"
