#!/usr/bin/env bash
# Makes .venv-peers, the environment of the libraries that tests/peers and benchmarks/peers.py compare with: the
# project's torch (its build for CPUs) and the packages of benchmarks/requirements-peers.txt. Does nothing where
# it is there already. A library that cannot be installed is said so and left out; its tests are skipped, and
# the benchmark records its absence.
#
# PYTHON=/path/to/python   the interpreter to make it with; without it, the project's (.venv) or python3
# PEERS=/path/to/folder    another place than .venv-peers
set -euo pipefail
cd "$(dirname "$0")/.."

. tools/common.sh

REQUIREMENTS=benchmarks/requirements-peers.txt
PEERS=${PEERS:-.venv-peers}

install() { "$PEERS/bin/python" -m pip install --quiet --no-deps "$@"; }

# What the peers need, each section of the file up to "# peers"; then one peer after the other. False where a
# peer is missing.
install_packages() {
    local peer complete=true
    install -r <(sed '/^# peers$/,$d' "$REQUIREMENTS")
    for peer in $(sed '1,/^# peers$/d' "$REQUIREMENTS"); do
        install --no-build-isolation "$peer" || {
            say "$peer cannot be installed; it will be missing"
            complete=false
        }
    done
    $complete
}

main() {
    local python wanted
    python=$(find_python .venv/bin/python)
    wanted="$(cat requirements-torch.txt "$REQUIREMENTS" | cksum) $("$python" --version) $PWD"
    [ "$(installed "$PEERS")" != "$wanted" ] || return 0
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    say "making $PEERS with $("$python" --version)"
    "$python" -m venv --clear "$PEERS"
    install_torch "$PEERS/bin/python" cpu
    install_packages || return 0 # the next call tries again
    mark "$PEERS" "$wanted"
}

main
