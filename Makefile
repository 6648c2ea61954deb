# Two commands: `make demo` shows the main job on this machine, `make test` runs the tests. Both set up first.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check

DEMO_MODEL ?= alexnet
DEMO_TIME ?= 4m
OUT := build

.PHONY: help setup demo test board lint bench lock clean

help:
	@echo "make demo    tune, compile, verify, bench and report $(DEMO_MODEL) on this machine (at most 10 minutes)"
	@echo "make test    run the tests"
	@echo "make board   set up the emulated board that some tests use (they do it by themselves)"
	@echo "make lint    ruff and mypy"
	@echo "make bench   the built-in models beside ONNX Runtime and OpenVINO"
	@echo "make setup   only the set-up, which the others do by themselves"
	@echo "make lock    pin the newest versions that pyproject.toml allows (needs uv)"

setup: $(READY)
	@:

$(READY): requirements.lock requirements-linker.lock pyproject.toml
	@test -x $(BIN)/python || test -n "$(PYTHON)" || \
		{ echo "edgetune needs Python 3.10 to 3.13, and this machine's python3 is $$(python3 --version 2>&1 || true): install one of them, or name it with make PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) >$(VENV).log 2>&1 || \
		{ echo "$(PYTHON) cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv); $(VENV).log says more" >&2; rm -rf $(VENV); exit 1; }
	@rm -f $(VENV).log
	@echo "Setting up in $(VENV) with $$($(BIN)/python --version); this takes a minute or two"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip -q
	@$(PIP) install --quiet --only-binary :all: -r requirements.lock
	@# Libraries are linked with the system's C++ compiler; a machine without one gets Zig's linker from PyPI.
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || \
		{ echo "No C++ compiler here: installing ziglang to link with"; $(PIP) install --quiet --only-binary :all: -r requirements-linker.lock; }
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@mkdir -p $(OUT)
	$(BIN)/edgetune tune $(DEMO_MODEL) --target native --time $(DEMO_TIME)
	$(BIN)/edgetune compile $(DEMO_MODEL) --target native -o $(OUT)/$(DEMO_MODEL).tar
	$(BIN)/edgetune verify $(OUT)/$(DEMO_MODEL).tar
	$(BIN)/edgetune bench $(OUT)/$(DEMO_MODEL).tar --vs onnxruntime --profile --json $(OUT)/results.jsonl
	$(BIN)/edgetune report $(OUT)/results.jsonl -o $(OUT)/report.html

# Blocks of neighbouring tests, which share what is made for them; who is done first takes from the other.
test: setup
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

board: setup
	$(BIN)/python -m tests.runtime.emulation.board

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	@mkdir -p $(OUT)
	$(BIN)/edgetune bench alexnet googlenet squeezenet resnet50 vgg19 densenet121 shufflenet inception-v2 zfnet512 \
		--vs onnxruntime,openvino --json $(OUT)/bench.jsonl

LOCK := uv pip compile --quiet --universal --python-version 3.10 --no-header --upgrade

lock:
	$(LOCK) --extra cuda --extra peers --extra report --extra rpc --extra cluster --extra s3 --extra hf --extra dev -o requirements.lock pyproject.toml
	$(LOCK) --extra linker -c requirements.lock --no-annotate -o $(OUT)/linker.txt pyproject.toml
	grep '^ziglang==' $(OUT)/linker.txt > requirements-linker.lock

clean:
	rm -rf $(VENV) $(OUT) dist *.egg-info
