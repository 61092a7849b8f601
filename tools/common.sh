# What setup.sh and peers.sh share; they source it, in the folder of the repository.

CPU_WHEELS=https://download.pytorch.org/whl/cpu

PROGRAM=${0##*/}

say() { printf '%s: %s\n' "${PROGRAM%.sh}" "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

# The versions that requirements.lock and torch are for.
suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; }

# find_python CANDIDATE...: the first that suits of $PYTHON, the candidates and what is on PATH.
find_python() {
    local python
    for python in ${PYTHON:+"$PYTHON"} "$@" python3 python3.12 python3.11 python3.13 python3.14; do
        if suits "$python"; then
            echo "$python"
            return
        fi
        [ "$python" != "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is not a Python of version 3.11 to 3.14."
    done
    fail "no Python of version 3.11 to 3.14 found. Install one, or name it:" \
        "PYTHON=/path/to/python3.12 make setup"
}

# cpu_wheels_answer PYTHON: the timer ends it after five seconds in all, a slow name server included.
cpu_wheels_answer() {
    "$1" - "$CPU_WHEELS/torch/" 2>/dev/null <<'PYTHON'
import os, sys, threading
try:
    import requests
except ImportError:
    from pip._vendor import requests
timer = threading.Timer(5, os._exit, [1])
timer.daemon = True
timer.start()
requests.head(sys.argv[1], allow_redirects=True).raise_for_status()
PYTHON
}

# install_torch PYTHON BUILD [HINT]: the pinned version into the environment of PYTHON; the build for CPUs without
# what it needs, which is listed elsewhere.
install_torch() {
    if [ "$2" = cpu ] && [ "$(uname)" = Linux ]; then
        if cpu_wheels_answer "$1"; then
            say "installing torch, the build for CPUs (about 190 MB)${3:-}"
            "$1" -m pip install --quiet --no-deps --index-url "$CPU_WHEELS" -r requirements-torch.txt && return
        fi
        say "PyTorch's wheels for CPUs ($CPU_WHEELS) cannot be reached."
    fi
    say "installing torch as pip finds it: on Linux PyPI's build with its CUDA libraries is about 2.9 GB to" \
        "download and 5.2 GB on disk"
    "$1" -m pip install --quiet -r requirements-torch.txt
}

# What an environment was made of, as `mark` left it there; empty where there is none, or a part of one.
installed() { cat "$1/installed" 2>/dev/null || true; }

# mark FOLDER WHAT: the environment is whole.
mark() {
    printf '%s\n' "$2" >"$1/installed.new"
    mv "$1/installed.new" "$1/installed"
    say "ready: $1 ($(du -sh "$1" | cut -f1))"
}
