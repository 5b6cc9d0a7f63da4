#!/usr/bin/env bash
# The pytest plugin, the example host's suite, and whether that finds bugs: with the debug build, from
# a place of its own in target/. Other arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PACKAGES=(pytest==8.3.5 pytest-xdist==3.6.1 pyserial==3.5 flit_core==3.12.0)
readonly place=target/k485_pytest

cargo build
if [[ $(cat "$place/packages" 2>/dev/null) != "${PACKAGES[*]}" ]]; then
    rm -rf "$place"
    python3 -m venv "$place"
    "$place/bin/pip" install --quiet --disable-pip-version-check "${PACKAGES[@]}"
    # Editable: the sources are what is tested, also when they change.
    "$place/bin/pip" install --quiet --disable-pip-version-check --no-build-isolation --no-deps \
        --editable extra/k485_pytest
    echo "${PACKAGES[*]}" >"$place/packages"
fi
K485_BINARY=$(cargo metadata --format-version 1 --no-deps |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/debug/k485
export K485_BINARY
# Most of the time is spent waiting, so more than the processors have room for.
"$place/bin/pytest" -n 4 extra/example_host "$@"
"$place/bin/pytest" -n 4 extra/k485_pytest "$@"
