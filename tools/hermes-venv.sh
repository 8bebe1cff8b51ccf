#!/bin/sh
# Make the virtual environment named by the argument from requirements-hermes.lock: hermes-agent with what it was pinned to.
set -eu
venv=$1

if [ -L "$venv" ]; then
    echo "$venv is a link, so what it leads to is used as it is" >&2
    exit 0
fi
python=""
for name in ${PYTHON:-} python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
    found=$(command -v "$name") || continue
    # A shim on PATH may be there without the Python that it stands for: only running it tells.
    if "$found" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
        python=$found
        break
    fi
done
if [ -z "$python" ]; then
    echo "hermes-agent needs a Python from 3.11 to 3.13 with its venv module, and none was found. Type: sudo apt-get install" \
        "python3.13 python3.13-venv, or name one: make hermes PYTHON=/path/to/python3.13" >&2
    exit 1
fi
echo "making $venv with $python" >&2
"$python" -m venv --clear "$venv"
if ! "$venv/bin/python" -m pip --disable-pip-version-check -qq install --require-hashes --no-deps -r requirements-hermes.lock; then
    rm -rf "$venv"
    echo "hermes-agent could not be installed into $venv" >&2
    exit 1
fi
