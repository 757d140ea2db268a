#!/bin/sh
# Makes the locked environment in $VENV with $PYTHON. Everything is installed from requirements.lock, by hash; uv itself
# is taken from the same lock, by pip.
set -eu

fail() {
    echo "recwatch: $1" >&2
    exit 1
}

command -v "$PYTHON" >/dev/null || fail "no '$PYTHON' on the PATH. Install Python 3.11 or newer, or run: make setup PYTHON=/path/to/python3"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$PYTHON" --version 2>&1) is too old: Python 3.11 or newer is needed. Run: make setup PYTHON=/path/to/python3"
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "this Python lacks its venv module. On Debian and Ubuntu: apt-get install python3-venv"

echo "recwatch: setting up $VENV. The first time downloads about 3 GB and takes 7 GB of disk, mostly torch and its CUDA libraries; later runs use the package cache."
if [ ! -x "$VENV/bin/python" ]; then
    "$PYTHON" -m venv "$VENV" || fail "could not make $VENV with $PYTHON. Remove $VENV and try again."
fi
if [ ! -x "$VENV/bin/uv" ]; then
    awk '/^uv==/ { found = 1 } found { print } found && !/\\$/ { exit }' requirements.lock >"$VENV/uv.txt"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$VENV/uv.txt" ||
        fail "could not install uv from the package index. Check the network, then run make setup again."
fi
"$VENV/bin/uv" pip sync --python "$VENV/bin/python" --require-hashes requirements.lock ||
    fail "could not install the locked packages. Check the network and free disk space (12 GB), then run make setup again."
"$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation --editable . ||
    fail "could not install recwatch itself into $VENV."
