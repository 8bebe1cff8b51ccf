#!/bin/sh
# Write requirements.lock: run time, development and build requirements of every supported Python, each with its hashes.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$(sh tools/find-python.sh)
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip --disable-pip-version-check -qq install uv
# The editable install is built without a network, so that its build requirements belong into the lock too.
printf 'hatchling>=1.27\neditables>=0.5\n' >"$work/build.in"
"$work/venv/bin/uv" pip compile --quiet --no-config --native-tls --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --upgrade --extra dev pyproject.toml "$work/build.in" --output-file "$work/lock"
cp "$work/lock" requirements.lock
