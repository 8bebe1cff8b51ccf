#!/bin/sh
# Make the virtual environment named by the argument from requirements.lock, with this checkout installed editable.
set -eu
venv=$1

if [ -d "$venv" ] && [ ! -w "$venv" ]; then
    echo "$venv belongs to another user. Remove it, or clone the project to a directory of your own." >&2
    exit 1
fi
python=${PYTHON:-$(sh tools/find-python.sh)}
echo "making $venv with $python" >&2
"$python" -m venv --clear "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check -qq"
$pip install --require-hashes --no-deps -r requirements.lock
$pip install --no-build-isolation --no-deps -e .
