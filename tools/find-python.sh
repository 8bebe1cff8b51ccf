#!/bin/sh
# Print the first Python that is >= 3.11 and can make virtual environments. Arguments: a command to run it through (optional).
set -eu

too_old=""
no_venv=""
for name in python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
    found=$(command -v "$name") || continue
    # A shim on PATH may be there without the Python that it stands for: only running it tells.
    version=$("$@" "$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if ! "$@" "$found" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        too_old="$found is $version"
    elif ! "$@" "$found" -c 'import venv, ensurepip' 2>/dev/null; then
        no_venv="$found is $version but has no venv module"
    else
        echo "$found"
        exit 0
    fi
done

if [ -n "$no_venv" ]; then
    echo "Python can't make a virtual environment: $no_venv. Type: sudo apt-get install python3-venv" >&2
else
    echo "Python 3.11 or newer is needed; found: ${too_old:-none}. Type: sudo apt-get install python3 python3-venv" >&2
fi
exit 1
