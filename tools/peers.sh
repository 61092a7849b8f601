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

CPU_WHEELS=https://download.pytorch.org/whl/cpu
REQUIREMENTS=benchmarks/requirements-peers.txt
PEERS=${PEERS:-.venv-peers}

say() { printf 'peers: %s\n' "$*" >&2; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        echo "$PYTHON"
    elif [ -x .venv/bin/python ]; then
        echo .venv/bin/python
    else
        echo python3
    fi
}

install() { "$PEERS/bin/python" -m pip install --quiet --no-deps "$@"; }

# The wheels for CPUs are asked once and shortly: without them PyPI's build does, which brings CUDA's libraries.
install_torch() {
    say "installing torch, the build for CPUs (about 190 MB)"
    if [ "$(uname)" = Linux ]; then
        install --retries 0 --timeout 15 --index-url "$CPU_WHEELS" -r requirements-torch.txt && return
        say "PyTorch's wheels for CPUs ($CPU_WHEELS) cannot be reached; taking torch as pip finds it"
    fi
    "$PEERS/bin/python" -m pip install --quiet -r requirements-torch.txt
}

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
    python=$(find_python)
    wanted="$(cat requirements-torch.txt "$REQUIREMENTS" | cksum) $("$python" --version) $PWD"
    [ "$(cat "$PEERS/installed" 2>/dev/null)" != "$wanted" ] || return 0
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    say "making $PEERS with $("$python" --version)"
    "$python" -m venv --clear "$PEERS"
    install_torch
    install_packages || return 0 # the next call tries again
    printf '%s\n' "$wanted" >"$PEERS/installed.new"
    mv "$PEERS/installed.new" "$PEERS/installed"
    say "ready: $PEERS ($(du -sh "$PEERS" | cut -f1))"
}

main
