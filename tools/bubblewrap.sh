#!/bin/sh
# See to it that bubblewrap is installed: with apt-get where that is allowed, else say what to type and stop.
set -eu

PATH="$PATH:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
command -v bwrap >/dev/null && exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    as_root="none"
fi
if [ "$as_root" != none ] && command -v apt-get >/dev/null; then
    echo "installing bubblewrap" >&2
    install="$as_root apt-get install --yes --quiet --no-install-recommends bubblewrap"
    { $install || { $as_root apt-get update --quiet && $install; }; } >&2 && exit 0
fi
echo "bubblewrap is missing, and agents run in nothing weaker. Type: sudo apt-get install bubblewrap" >&2
exit 3
