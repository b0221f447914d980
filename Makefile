# make demo: the whole way on simulated people. make test: the tests. Each makes its own venv in .venv.
# make test-cpus: those that compute, by the kernels of other processors.
# make api: the reference of the public modules, as HTML in api/.
# make dist: the wheel and the sdist, tried on every Python here; the Dockerfile's steps, without Docker.
# make models: the models of SIMULATED people that the wheel brings, again.
# make fuzz: ten minutes of hostile files. make pages: what the pages show, from one run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One BLAS thread: every matrix product here is small, and two threads fight over the cores.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# The Python bindings of full TensorRT, without its libraries: the contract tests import them over stubs.
BINDINGS := tensorrt-cu12-bindings==10.3.0 tensorrt-cu13-bindings==10.16.1.11 tensorrt-cu13-bindings==11.4.0.106
# What docs/python-api.md calls public.
PUBLIC := $(addprefix emodict.,recording features engine predict results.outputs errors) \
	$(addprefix emodict_desk.,recordings.validate tables.table report) \
	$(addprefix emodict_train.,data fit model) emodict_export.export

.PHONY: demo test test-cpus check fuzz kill mutants soak aarch64 bench lint specs models pages api dist clean

demo: $(VENV)/ready-train
	$(BIN)/python examples/demo.py demo

# With ARGS, one pytest of these. Else all of them, in two halves, with one line at the end for both.
test: $(VENV)/ready-test
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m tests.whole
endif

# The tests that compute, by the kernels of other processors: their bounds must hold on any. Three minutes.
test-cpus: $(VENV)/ready-test
	$(BIN)/python -m tests.cpus $(ARGS)

# Commands are killed, 200 times at random and at the worst moments: six minutes.
kill: $(VENV)/ready-test
	$(BIN)/python -m tests.reliability.kills $(ARGS)

# N small wrong changes of what everything rests on, each beside its tests: twenty minutes on two cores. With GROUPS,
# of these alone: features live/clock live/stamps units importers engine predict fold graph metrics model.
N ?= 200
SEED ?= 0
mutants: $(VENV)/ready-test
	$(BIN)/python -m tests.reliability.mutants $(N) $(SEED) $(GROUPS)

# Bytes of every kind for all that reads files of others; what is found stays in fuzz-found/ and can be replayed.
SECONDS ?= 600
fuzz: $(VENV)/ready-test
	@$(BIN)/python -c 'import atheris' 2> /dev/null || $(PIP) atheris || true
	$(BIN)/python -m tests.reliability.fuzz $(SECONDS)

bench: $(VENV)/ready-test
	$(BIN)/python -m benchmarks $(ARGS)

# HOURS of simulated sensors with random faults through the live pipeline; 24 take eight minutes.
HOURS ?= 24
soak: $(VENV)/ready-test
	$(BIN)/python -m tests.reliability.soak $(HOURS) $(SEED)

# Features and answers of an aarch64 Python under qemu-user against those of this machine.
aarch64: $(VENV)/ready-test
	$(BIN)/python -m tests.reliability.aarch64

lint: $(VENV)/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Before each commit, in half a minute: ruff, mypy, and the tests of what was changed.
check: $(VENV)/ready-test
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.changed

specs: $(VENV)/ready-test
	$(BIN)/python tools/make_specs.py

# wrist, headband and full, with a card each: eight minutes. The same machine makes the same ones.
models: $(VENV)/ready-train
	$(BIN)/python -m tools.make_models

# The demo once, and what README and docs show of it: excerpts, docs/figures.json and pictures. Needs a Chromium.
pages: $(VENV)/ready-test
	$(BIN)/python -m tools.pages
	$(BIN)/python tools/draw_rooms.py

api: $(VENV)/ready-test
	$(BIN)/python -W error::UserWarning -m pdoc --docformat google --output-directory api $(PUBLIC)

dist: $(VENV)/ready-test
	rm -rf dist
	$(BIN)/python -m hatchling build
	$(BIN)/python -m tests.release.install dist
	$(BIN)/python -m tests.release.docker_steps

clean:
	rm -rf $(VENV) demo dist build api .pages

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 10) <= sys.version_info < (3, 14) else f"emodict is pinned for Python 3.10 to 3.13; $(PYTHON) is {sys.version.split()[0]}. Try: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/ready-train: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing emodict and what it trains with into $(VENV) (once; torch is the big part)"
	$(PIP) --editable '.[train,export,onnx]'
	@touch $@

$(VENV)/ready-test: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing emodict and what its tests need into $(VENV) (once; torch is the big part)"
	$(PIP) --editable '.[test,lint]'
	@$(PIP) --no-deps openvino || echo "No openvino for this Python: the C++ example will not be compiled"
	@for wheel in $(BINDINGS); do $(BIN)/python -m pip download --quiet --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest $(VENV)/bindings $$wheel || echo "No $$wheel for this Python: its contract tests will be skipped"; done
	@touch $@ $(VENV)/ready-train
