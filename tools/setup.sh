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

. tools/common.sh

TEX_PROGRAMS=(latexmk pdflatex kpsewhich)
TEX_FILES=(article.cls amsmath.sty array.sty booktabs.sty caption.sty fancyhdr.sty fontenc.sty geometry.sty
    graphicx.sty helvet.sty hyperref.sty inputenc.sty longtable.sty mathpazo.sty microtype.sty natbib.sty
    textcomp.sty xcolor.sty pplr8t.tfm phvr8t.tfm t1xtt.tfm)
TEX_PACKAGES=(latexmk texlive-latex-base texlive-latex-recommended texlive-fonts-recommended)
SLURM_PROGRAMS=(munged slurmctld slurmd sbatch)
SLURM_PACKAGES=(slurm-wlm munge)
SBIN=/usr/local/sbin:/usr/sbin:/sbin # where daemons lie, which the PATH of a person may not have

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

# need_torch BUILD: does nothing where the pinned version is there in a build that serves.
need_torch() {
    local there
    there=$(.venv/bin/python -m pip list --format=freeze | grep '^torch==' || true)
    case "$1 $there" in
        "cuda "*+cpu) .venv/bin/python -m pip uninstall --quiet --yes torch ;;
        *" $(cat requirements-torch.txt)" | *" $(cat requirements-torch.txt)+"*) return ;;
    esac
    install_torch .venv/bin/python "$1" "; for a GPU: make setup TORCH=cuda"
}

install_packages() {
    local check
    need_compiler
    say "installing the packages of requirements.lock (about 300 MB to download)"
    .venv/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
    need_torch "$1"
    .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
    check=$(.venv/bin/python -m pip check) || fail "the packages in .venv do not fit each other: $check"
}

setup_python() {
    local build wanted there
    there=$(installed .venv)
    build=$(torch_build)
    # The build with CUDA serves a machine without a GPU too: machines that share a folder do not take turns.
    case "${TORCH:-}$there" in cuda*) build=cuda ;; esac
    # A moved .venv is of no use, its programs name the folder that they were made in: hence $PWD in the mark.
    wanted="$build $(cat requirements.lock requirements-torch.txt pyproject.toml | cksum) $PWD"
    if suits .venv/bin/python && [ "$there" = "$wanted" ]; then return; fi
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USE_PEP517=1
    case $there in "" | *" $PWD") ;; *) make_venv ;; esac
    if ! suits .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then make_venv; fi
    install_packages "$build"
    mark .venv "$wanted"
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
