#!/bin/sh
# Run the tests that start real sandboxes once more as an unprivileged user, when root runs the tests; else do nothing.
# Arguments: the Python of the virtual environment whose packages are used, and which tests, as pytest takes them.
#
# The user is a bare uid without an entry in /etc/passwd, so that nothing is left on the machine. The checkout, its
# environment and even its interpreter may lie where only root can read (below /root): the user gets copies of the first two
# and an interpreter that it can reach.
set -eu
[ "$(id -u)" = 0 ] || exit 0
python=$1
shift
uid=61234

work=$(mktemp -d /tmp/hermes-iso-test-XXXXXX)
trap 'rm -rf "$work"' EXIT
as_user="setpriv --reuid=$uid --regid=$uid --clear-groups --inh-caps=-all"

if ! reachable=$(sh tools/find-python.sh $as_user 2>/dev/null); then
    echo "NOT RUN: the sandbox tests as an unprivileged user, because every Python here is readable by root alone." >&2
    echo "Type: apt-get install python3 python3-venv" >&2
    exit 0
fi
echo "the sandbox tests once more, as uid $uid with $reachable" >&2

mkdir "$work/tree" "$work/home" "$work/tmp"
tar -c --exclude=./.git --exclude='./.venv*' --exclude='./.*_cache' --exclude=__pycache__ . | tar -x -C "$work/tree"
"$reachable" -m venv "$work/venv"
version_of='import sys, sysconfig; print(sys.version_info[:2], sysconfig.get_platform())'
site_of='import sysconfig; print(sysconfig.get_path("purelib"))'
if [ "$("$python" -c "$version_of")" = "$("$work/venv/bin/python" -c "$version_of")" ]; then
    cp -r "$("$python" -c "$site_of")/." "$("$work/venv/bin/python" -c "$site_of")"
else
    "$work/venv/bin/python" -m pip --disable-pip-version-check -qq install --require-hashes --no-deps -r requirements.lock
fi
(cd "$work/tree" && "$work/venv/bin/python" -m pip --disable-pip-version-check -qq install --force-reinstall \
    --no-build-isolation --no-deps -e .)
chown -R "$uid:$uid" "$work"
cd "$work/tree"
env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$work/home" TMPDIR="$work/tmp" LANG=C.UTF-8 \
    $as_user "$work/venv/bin/python" -m pytest -p no:cacheprovider "$@"
