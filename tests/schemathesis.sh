#!/usr/bin/env bash
# Has schemathesis ask the control of an emulator for everything that its OpenAPI document promises,
# and for what it forbids. Two of them: one as it is, one on all addresses, where looking needs the
# token too.
#
# usage: tests/schemathesis.sh [K485]    the binary, target/debug/k485 where none is named
#
# Installs schemathesis into target/ the first time.
#
# The stream of events is left out: it is a WebSocket, and tests/control has it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VERSION=4.32.5
k485=${1:-target/debug/k485}
venv=target/schemathesis
if [[ ! -x $k485 ]]; then
    echo "schemathesis.sh: $k485 is not there; cargo build" >&2
    exit 2
fi
if [[ $("$venv/bin/schemathesis" --version 2>/dev/null) != *" $VERSION" ]]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$VERSION"
fi

folder=$(mktemp -d)
emulator=
end() {
    if [[ -n $emulator ]]; then
        kill -INT "$emulator" 2>/dev/null || true
        wait "$emulator" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap end EXIT

for address in 127.0.0.1:0 0.0.0.0:0; do
    "$k485" emulate --seed 5 --control "$address" --token-file "$folder/token" --pty "$folder/bus" \
        >"$folder/told" 2>"$folder/said" &
    emulator=$!
    # The page's address is said when all is open.
    until grep -q '#token=' "$folder/said"; do
        if ! kill -0 "$emulator" 2>/dev/null; then
            cat "$folder/said" >&2
            exit 1
        fi
        sleep 0.1
    done
    url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$folder/told")
    "$venv/bin/schemathesis" --config-file tests/schemathesis.toml run "${url}api/v1/openapi.json" \
        --header "Authorization: Bearer $(cat "$folder/token")" --exclude-path /api/v1/events \
        --max-examples 25 --seed 1 --no-color --suppress-health-check all --warnings off
    kill -INT "$emulator"
    # It is still well, and ends as it should.
    wait "$emulator"
    emulator=
done
