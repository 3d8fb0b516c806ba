#!/bin/sh
# What the README promises, on a machine that has nothing: fresh-machine.sh [root|user]...
# A Debian root file system made by debootstrap gets make, git and a clone of HEAD; in it `make run`, as root and as an
# ordinary user, who does what its one line says. Needs root. At the end, "fresh: N steps, N passed".
#   TESTS=1              `make test` afterwards, too
#   FRESH_PYTHON=PREFIX  an installed Python 3.13 to carry in, where uv cannot fetch one
# Of this machine it has the addresses and certificates of its package registries, nothing else.
set -eu
cd "$(dirname "$0")/.."
here=$(pwd -P)
suite=${SUITE:-bookworm}
work=$here/.local/fresh
base=$work/$suite
log=$here/.local/logs/fresh.log
steps=0 passed=0

if [ "$(id -u)" != 0 ]; then
    echo "error: a root file system is made by root: sudo make fresh-machine" >&2
    exit 1
fi
mkdir -p "$work" "$(dirname "$log")"
: >"$log"
command -v debootstrap >/dev/null || apt-get install -qq -y --no-install-recommends debootstrap >>"$log" 2>&1

make_base() {
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1)
    rm -rf "$base" "$base.new"
    debootstrap --variant=minbase "$suite" "$base.new" "$mirror" >>"$log" 2>&1
    mv "$base.new" "$base"
}

carry() { # PATH...: files and folders of this machine, to the same place
    for path in "$@"; do
        if [ -e "$path" ]; then
            mkdir -p "$root$(dirname "$path")"
            cp -aL "$path" "$root$(dirname "$path")/"
        fi
    done
}

carry_python() { # with the libraries that its modules are linked with, from this machine's packages of the same suite
    prefix=$1
    mkdir -p "$root$(dirname "$prefix")"
    cp -a "$prefix" "$root$(dirname "$prefix")/"
    folder=$prefix
    while [ "$folder" != / ]; do
        chmod o+x "$root$folder"
        folder=$(dirname "$folder")
    done
    ln -sf "$prefix/bin/python3.13" "$root/usr/local/bin/python3.13"
    find "$prefix/lib/python3.13/lib-dynload" -name '*.so' -exec ldd {} + | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' |
        grep -v "^$prefix" | sort -u | xargs readlink -f | xargs dpkg -S | cut -d : -f 1 | sort -u
}

# In a process namespace of its own, so that whatever it leaves running is seen, and ended. Its root is a real one, as
# on a machine: to who is in a chroot the kernel gives no user namespace, which bubblewrap needs.
inside() { # USER COMMAND
    unshare --mount --pid --fork --kill-child /bin/sh -c '
        mount --bind "$1" "$1" && cd "$1" && mount -t proc proc proc &&
        mount --rbind /dev dev && mount -t tmpfs tmpfs dev/shm && mkdir -p mnt/before &&
        pivot_root . mnt/before && umount -l /mnt/before &&
        exec chroot . /usr/bin/env -i $3 TERM=dumb USER="$2" LOGNAME="$2" \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            setpriv --reuid "$2" --regid "$2" --init-groups /bin/sh -c "$4"
    ' sh "$root" "$1" "$registries" "$2" </dev/null
}

step() { # WHAT COMMAND...
    what=$1
    shift
    steps=$((steps + 1))
    started=$(date +%s)
    printf '=== %s\n' "$what" >>"$log"
    if "$@" >>"$log" 2>&1; then
        passed=$((passed + 1)) verdict=passed
    else
        verdict="FAILED, see $log"
    fi
    printf '  %-44s %4s s  %s\n' "$what" "$(($(date +%s) - started))" "$verdict"
}

# The answer came, and nothing runs that was not there before.
runs() { # USER
    inside "$1" "cd ~$1/suna && unset HOME && make run </dev/null" >"$work/said" 2>&1
    code=$?
    cat "$work/said"
    [ "$code" = 0 ] && grep -q '^Ready after' "$work/said" && grep -q 'first token after' "$work/said"
}

leaves_nothing() { # USER
    inside "$1" "cd ~$1/suna && make run </dev/null >/dev/null && "'
        for process in /proc/[0-9]*; do
            pid=${process#/proc/}
            [ "$pid" = 1 ] || [ "$pid" = $$ ] || { cat "$process/cmdline"; exit 1; }
        done'
}

tests_pass() { # USER
    inside "$1" "cd ~$1/suna && make test </dev/null"
}

# Exit code not 0, one line, and the line says which command to run as root: that is run.
does_as_told() { # USER GOAL
    if inside "$1" "cd ~$1/suna && make $2 </dev/null" >"$work/said" 2>&1; then
        return 1
    fi
    cat "$work/said"
    [ "$(grep -vc '^make' "$work/said")" = 1 ] || return 1
    told=$(sed -n 's/^error: .*: sudo \(apt-get install .*\)/\1/p' "$work/said")
    [ -n "$told" ] && inside root "DEBIAN_FRONTEND=noninteractive $told -qq -y --no-install-recommends"
}

prepare() { # USER
    rm -rf "$root"
    cp -a "$base" "$root"
    rm -rf "$root/etc/apt/sources.list" "$root/etc/apt/sources.list.d"
    carry /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/auth.conf.d /etc/resolv.conf \
        /etc/hosts /etc/ssl/certs /etc/pip.conf /etc/npmrc
    mkdir -p "$root/dev/shm"
    if [ "$1" != root ]; then
        chroot "$root" useradd --create-home --shell /bin/sh "$1"
    fi
    home=$(chroot "$root" /bin/sh -c "echo ~$1")
    [ ! -e ~/.npmrc ] || cp ~/.npmrc "$root$home/"
    [ ! -e ~/.config/uv ] || { mkdir -p "$root$home/.config" && cp -a ~/.config/uv "$root$home/.config/"; }
    packages="make git"
    [ -z "${FRESH_PYTHON:-}" ] || packages="$packages $(carry_python "$FRESH_PYTHON" | tr '\n' ' ')"
    inside root "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages"
    git clone --quiet --no-hardlinks "$here" "$root$home/suna"
    chroot "$root" chown -R "$1:" "$home"
}

# How this machine reaches the registries, as far as its environment says it.
registries=$(env | grep -E '^(PIP_(CERT|INDEX_URL|EXTRA_INDEX_URL|DEFAULT_TIMEOUT)|UV_(INDEX|DEFAULT_INDEX|INDEX_URL).*|SSL_CERT_FILE|SSL_CERT_DIR|NODE_EXTRA_CA_CERTS|REQUESTS_CA_BUNDLE|npm_config_registry|[A-Za-z]*_(proxy|PROXY))=' |
    grep -v '[[:space:]]' | tr '\n' ' ')

[ -d "$base" ] || step "a Debian $suite of its own" make_base
for who in ${*:-root user}; do
    root=$work/machine-$who
    step "$who: make, git, a clone" prepare "$who"
    [ "$who" = root ] || step "$who: told in one line what is missing" does_as_told "$who" run
    step "$who: make run" runs "$who"
    step "$who: make run leaves nothing running" leaves_nothing "$who"
    if [ -n "${TESTS:-}" ]; then
        [ "$who" = root ] || step "$who: told in one line what is missing" does_as_told "$who" test
        step "$who: make test" tests_pass "$who"
    fi
    [ "$passed" != "$steps" ] || rm -rf "$root"
done
echo "fresh: $steps steps, $passed passed"
[ "$steps" = "$passed" ]
