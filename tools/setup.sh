#!/usr/bin/env bash
# Makes ready what the project needs and leaves alone what is already there.
#
#   tools/setup.sh python    .venv: the packages of requirements.lock, torch, the project itself
#   tools/setup.sh tex       latexmk and the LaTeX packages of the report
#   tools/setup.sh slurm     Slurm and munge, for tests/slurm to start them
#
# PYTHON=python3.12        the interpreter to make .venv with
# TORCH=cpu | cuda         the build of torch; without it, cuda where there is an NVIDIA driver
set -euo pipefail
cd "$(dirname "$0")/.."

CPU_WHEELS=https://download.pytorch.org/whl/cpu
TEX_PROGRAMS=(latexmk pdflatex kpsewhich)
TEX_FILES=(article.cls amsmath.sty array.sty booktabs.sty caption.sty fancyhdr.sty fontenc.sty geometry.sty
    graphicx.sty helvet.sty hyperref.sty inputenc.sty longtable.sty mathpazo.sty microtype.sty natbib.sty
    textcomp.sty xcolor.sty pplr8t.tfm phvr8t.tfm t1xtt.tfm)
TEX_PACKAGES=(latexmk texlive-latex-base texlive-latex-recommended texlive-fonts-recommended)
SLURM_PROGRAMS=(munged slurmctld slurmd sbatch)
SLURM_PACKAGES=(slurm-wlm munge)
SBIN=/usr/local/sbin:/usr/sbin:/sbin # where daemons lie, which the PATH of a person may not have

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

# True where this may install Debian packages: as root, or through a sudo that asks for no password.
may_install() {
    command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

# apt_install PACKAGE...: false, with the end of apt's output, where it fails.
apt_install() {
    local as_root=(env) log
    [ "$(id -u)" = 0 ] || as_root=(sudo -n env)
    log=$(mktemp)
    say "installing with apt: $*"
    if "${as_root[@]}" apt-get update >"$log" 2>&1 &&
        "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y \
            --no-install-recommends "$@" >>"$log" 2>&1 </dev/null; then
        rm -f "$log"
    else
        tail -n 15 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

# need_packages WHAT PACKAGE...: installs, or ends with the command that would.
need_packages() {
    local what=$1
    shift
    may_install && apt_install "$@" && return
    command -v apt-get >/dev/null &&
        fail "$what, and it could not be installed. Someone with the right to do so must run:" \
            "sudo apt-get install --no-install-recommends $*"
    fail "$what, and there is no apt to install it with. Install what these Debian packages hold: $*"
}

# The versions that requirements.lock and torch are for.
suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; }

find_python() {
    local python
    for python in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.11 python3.13 python3.14; do
        if suits "$python"; then
            echo "$python"
            return
        fi
        [ "$python" != "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is not a Python of version 3.11 to 3.14."
    done
    fail "no Python of version 3.11 to 3.14 found. Install one, or name it:" \
        "PYTHON=/path/to/python3.12 make setup"
}

# For Python 3.11 on x86-64 Linux every package comes compiled. Elsewhere expelliarmus (asked for by tonic)
# does not, nor, from Python 3.14 on, immutables (asked for by Snakemake), which wants Python's headers too.
need_compiler() {
    local version header
    version=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    header=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
    [ "$version $(uname -sm)" != "3.11 Linux x86_64" ] || return 0
    if command -v cc >/dev/null && { [ "$version" != 3.14 ] || [ -e "$header" ]; }; then return; fi
    need_packages "Python $version needs a C compiler for a package or two" gcc libc6-dev "python$version-dev"
}

make_venv() {
    local python version
    python=$(find_python)
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip' 2>/dev/null ||
        need_packages "Python $version lacks its module venv" "python$version-venv"
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

torch_build() {
    if [ -n "${TORCH:-}" ]; then
        case $TORCH in cpu | cuda) echo "$TORCH" ;; *) fail "TORCH=$TORCH: must be cpu or cuda." ;; esac
    elif nvidia-smi >/dev/null 2>&1 || [ -e /proc/driver/nvidia/version ]; then
        echo cuda
    else
        echo cpu
    fi
}

# The timer ends it after five seconds in all, a slow name server included.
cpu_wheels_answer() {
    .venv/bin/python - "$CPU_WHEELS/torch/" 2>/dev/null <<'PYTHON'
import os, sys, threading, requests
timer = threading.Timer(5, os._exit, [1])
timer.daemon = True
timer.start()
requests.head(sys.argv[1], allow_redirects=True).raise_for_status()
PYTHON
}

# install_torch BUILD: does nothing where the pinned version is there in a build that serves.
install_torch() {
    local installed
    installed=$(.venv/bin/python -m pip list --format=freeze | grep '^torch==' || true)
    case "$1 $installed" in
        "cuda "*+cpu) .venv/bin/python -m pip uninstall --quiet --yes torch ;;
        *" $(cat requirements-torch.txt)" | *" $(cat requirements-torch.txt)+"*) return ;;
    esac
    if [ "$1" = cpu ] && [ "$(uname)" = Linux ]; then
        if cpu_wheels_answer; then
            say "installing torch, the build for CPUs (about 190 MB); for a GPU: make setup TORCH=cuda"
            .venv/bin/python -m pip install --quiet --no-deps --index-url "$CPU_WHEELS" \
                -r requirements-torch.txt && return
        fi
        say "PyTorch's wheels for CPUs ($CPU_WHEELS) cannot be reached."
    fi
    say "installing torch as pip finds it: on Linux PyPI's build with its CUDA libraries is about 2.9 GB to" \
        "download and 5.2 GB on disk"
    .venv/bin/python -m pip install --quiet -r requirements-torch.txt
}

install_packages() {
    local check
    need_compiler
    say "installing the packages of requirements.lock (about 300 MB to download)"
    .venv/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
    install_torch "$1"
    .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
    check=$(.venv/bin/python -m pip check) || fail "the packages in .venv do not fit each other: $check"
}

setup_python() {
    local build wanted installed=
    [ ! -e .venv/installed ] || installed=$(cat .venv/installed)
    build=$(torch_build)
    # The build with CUDA serves a machine without a GPU too: machines that share a folder do not take turns.
    case "${TORCH:-}$installed" in cuda*) build=cuda ;; esac
    # A moved .venv is of no use, its programs name the folder that they were made in: hence $PWD in the mark.
    wanted="$build $(cat requirements.lock requirements-torch.txt pyproject.toml | cksum) $PWD"
    if suits .venv/bin/python && [ "$installed" = "$wanted" ]; then return; fi
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USE_PEP517=1
    case $installed in "" | *" $PWD") ;; *) make_venv ;; esac
    if ! suits .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then make_venv; fi
    install_packages "$build"
    printf '%s\n' "$wanted" >.venv/installed.new
    mv .venv/installed.new .venv/installed
    say "ready: .venv ($(du -sh .venv | cut -f1))"
}

# complete NAME LIST_MISSING NEED PACKAGE...: what LIST_MISSING names is there afterwards, or this ends.
complete() {
    local name=$1 list=$2 need=$3 missing
    shift 3
    missing=$($list | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    need_packages "$need (missing: ${missing% })" "$@"
    missing=$($list | tr '\n' ' ')
    [ -z "$missing" ] || fail "after the installation $name still lacks: ${missing% }"
}

missing_tex() {
    local program file
    for program in "${TEX_PROGRAMS[@]}"; do
        command -v "$program" >/dev/null || echo "$program"
    done
    command -v kpsewhich >/dev/null || return 0
    kpsewhich "${TEX_FILES[@]}" >/dev/null && return
    for file in "${TEX_FILES[@]}"; do
        kpsewhich "$file" >/dev/null || echo "$file"
    done
}

setup_tex() {
    complete TeX missing_tex "the report needs TeX" "${TEX_PACKAGES[@]}"
}

missing_slurm() {
    local program
    for program in "${SLURM_PROGRAMS[@]}"; do
        PATH=$PATH:$SBIN command -v "$program" >/dev/null || echo "$program"
    done
}

setup_slurm() {
    complete Slurm missing_slurm "the test of the cluster needs Slurm" "${SLURM_PACKAGES[@]}"
}

case ${1:-} in
    python) setup_python ;;
    tex) setup_tex ;;
    slurm) setup_slurm ;;
    *) fail "usage: tools/setup.sh python | tex | slurm" ;;
esac
