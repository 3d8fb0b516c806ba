#!/bin/sh
# Print a short name for the path of this clone: part of the stamps of what holds absolute paths.
unset CDPATH
cd "$(dirname "$0")/.." && pwd -P | cksum | cut -d ' ' -f 1
