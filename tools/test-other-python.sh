#!/bin/sh
# Run the unit and border tests once more on another supported Python, where one is installed: the floor or the newest.
# Argument: the Python of the virtual environment that the other tests ran on.
set -eu
version_of='import sys; print("%d.%d" % sys.version_info[:2])'
own=$("$1" -c "$version_of")

for name in python3.11 python3.13 python3.12; do
    found=$(command -v "$name") || continue
    version=$("$found" -c "$version_of" 2>/dev/null) || continue
    [ "$version" != "$own" ] || continue
    "$found" -c 'import venv, ensurepip' 2>/dev/null || continue
    echo "the unit and border tests once more, with Python $version" >&2
    venv=.venv-$version
    if [ ! -e "$venv/.ready" ] || [ requirements.lock -nt "$venv/.ready" ] || [ pyproject.toml -nt "$venv/.ready" ]; then
        PYTHON=$found sh tools/venv.sh "$venv"
        touch "$venv/.ready"
    fi
    exec "$venv/bin/python" -m pytest tests/unit tests/wire tests/border -p no:cacheprovider
done
echo "NOT RUN: the tests on another Python, because there is none but $own here." >&2
