# make demo     everything on a small scale, from data to results/demo/report/report.pdf
# make paper    the paper's own grid, to results/paper/report/report.pdf (a GPU is wanted)
# make test     the tests
# make test-slurm   the workflow through a Slurm that the test starts (as root, on a machine without one)
# make peers    neurons against those of other libraries, in an environment of its own: results, then times
# make fuzz     every reader of strangers' files fuzzed for ten minutes (ARGS="--minutes 1 config"); not in CI
# make killed-demo  the demo killed again and again, held against one that nobody disturbed; not in CI
# make gpu-check    what the GPU at hand reaches, to results/gpu-check/; a reduced form without one
# make lint     ruff, snakefmt and Snakemake's own check of the workflow
# make lock     requirements.lock and environment.yml written anew (needs uv, and no .venv)
# make setup, make tex   .venv alone, TeX alone
#
# All but lock and tex first make .venv with all that is needed; a second call finds it there and installs nothing.

CONFIG ?= config/demo.yaml
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo paper config test test-slurm peers fuzz killed-demo gpu-check setup tex lint lock
.NOTPARALLEL:

demo: config tex setup
	.venv/bin/snakemake --cores all --quiet rules --configfile "$(CONFIG)"

paper: tex setup
	.venv/bin/snakemake --cores all --quiet rules

config:
	@test -f "$(CONFIG)" || { echo "CONFIG=$(CONFIG) is not there: name a YAML file, such as config/micro.yaml"; exit 2; }

test: setup
	@tools/setup.sh tex || echo "Without TeX, the tests that typeset the report are skipped."
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

test-slurm: setup
	@tools/setup.sh slurm || echo "Without Slurm, its test is skipped."
	.venv/bin/python -m pytest -m slurm tests/slurm $(ARGS)

peers: setup
	@tools/peers.sh
	PYTHONPATH=src .venv-peers/bin/python -m pytest --confcutdir=tests/peers tests/peers || [ $$? = 5 ] # 5: all skipped, none is there
	.venv/bin/python -m benchmarks.peers --repeats 3 --seconds 20 --output benchmarks/records/cpu-peers.json
	.venv/bin/python -m benchmarks.peers --draw benchmarks/records/cpu-peers.json

fuzz: setup
	.venv/bin/python -m pip install --quiet --no-deps --require-hashes --only-binary :all: --upgrade \
	    --target .venv-fuzz -r tools/requirements-fuzz.txt
	PYTHONPATH=src:tests:.venv-fuzz .venv/bin/python tools/fuzz.py $(ARGS)

killed-demo: tex setup
	PYTHONPATH=src:tests .venv/bin/python tools/killed_demo.py $(ARGS)

gpu-check: setup
	.venv/bin/python -m benchmarks.gpu_check --out results/gpu-check $(ARGS)

setup:
	@tools/setup.sh python

tex:
	@tools/setup.sh tex

lint: setup
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/snakefmt --check Snakefile workflow
	.venv/bin/snakemake --lint

# Writes requirements.lock anew from pyproject.toml and requirements.in (needs uv), changing versions only
# where it must, and copies it into environment.yml. Without rfc3987-syntax, which jsonschema imports if it is
# there: that compiles a grammar for a second whenever Snakemake or papermill starts, for a format nobody uses here.
lock:
	uv pip compile --universal --python-version 3.11 --all-extras --generate-hashes --no-emit-package torch \
	    --no-emit-package rfc3987-syntax --no-emit-package lark \
	    --custom-compile-command "make lock" --quiet pyproject.toml requirements.in -o requirements.lock
	sed '/requirements.lock without its hashes/q' environment.yml > environment.yml.new
	sed -n 's/^\([a-z0-9].*==.*[^ \]\) *\\$$/      - \1/p' requirements.lock >> environment.yml.new
	mv environment.yml.new environment.yml
