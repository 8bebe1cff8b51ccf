#!/bin/sh
# Write requirements.lock: run time, development and build requirements of every supported Python, each with its hashes;
# bench/requirements.lock: what draws the benchmark's figures; and requirements-hermes.lock: hermes-agent.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$(sh tools/find-python.sh)
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip --disable-pip-version-check -qq install uv
# The editable install is built without a network, so that its build requirements belong into the lock too.
printf 'hatchling>=1.27\neditables>=0.5\n' >"$work/build.in"
"$work/venv/bin/uv" pip compile --quiet --no-config --native-tls --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --upgrade --extra dev --extra telegram --extra discord pyproject.toml "$work/build.in" --output-file "$work/lock"
cp "$work/lock" requirements.lock
# What draws the benchmark's figures is large and needed by nobody else, so `make setup` does not install it.
sed -n '/^bench = \[/,/^\]/s/^ *"\(.*\)",$/\1/p' pyproject.toml >"$work/bench.in"
"$work/venv/bin/uv" pip compile --quiet --no-config --native-tls --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --constraint requirements.lock "$work/bench.in" --output-file "$work/bench.lock"
cp "$work/bench.lock" bench/requirements.lock
# hermes-agent pins other versions than the gateway, so it has an environment of its own. aiohttp, by its extra homeassistant,
# is what its own API server needs: the comparison runs that.
echo 'hermes-agent[anthropic,homeassistant,mcp]==0.19.*' >"$work/hermes.in"
"$work/venv/bin/uv" pip compile --quiet --no-config --native-tls --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate "$work/hermes.in" --output-file "$work/hermes.lock"
cp "$work/hermes.lock" requirements-hermes.lock
