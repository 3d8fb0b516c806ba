#!/bin/sh
# Print where to keep downloads if the user's own folder for that cannot be written, as that of a service's user, or in
# a container; else nothing.
unset CDPATH
home=${HOME:-$(getent passwd "$(id -u)" | cut -d : -f 6)}
cache=${XDG_CACHE_HOME:-$home/.cache}
while [ ! -e "$cache" ]; do
    cache=$(dirname "$cache")
done
[ -w "$cache" ] || echo "$(cd "$(dirname "$0")/.." && pwd -P)/.local/cache"
