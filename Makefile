# Environments, tests and checks: `make demo` runs the demo network, `make test` runs the tests.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=

BIN := $(VENV)/bin
CHECK := $(VENV)/check
PYTEST := -m pytest -q -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder
PIP := -m pip --disable-pip-version-check --quiet

.PHONY: help demo test test-all check check-kernels clean

help:
	@echo "make demo      install with a CPU device into $(VENV) and classify some digits"
	@echo "make test      install what tests need and run the quick ones"
	@echo "make test-all  run all tests, whole networks too"
	@echo "make check     ruff on the sources, mypy on the built wheel"
	@echo "make check-kernels  run every kernel on a simulator that finds races and stray accesses (Linux x86-64)"
	@echo "make clean     remove $(VENV) and build results"
	@echo "PYTHON=python3.12 VENV=.venv312 choose the interpreter and where it is installed"

demo: $(VENV)/.stamp-cpu
	@$(BIN)/nnef-cl demo

test: $(VENV)/.stamp-test
	$(BIN)/python $(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-all: $(VENV)/.stamp-test
	$(BIN)/python $(PYTEST) $(PYTEST_ARGS)

# mypy cannot follow the package-dir mapping of an editable install, so it looks at the wheel as users get it,
# from a folder where the sources cannot be found first. A left-over build/ would put deleted files into the wheel.
check: $(CHECK)/.stamp-tools
	$(CHECK)/bin/ruff check .
	@rm -rf build $(CHECK)/wheel
	@$(CHECK)/bin/python $(PIP) wheel --no-deps --wheel-dir $(CHECK)/wheel .
	@$(CHECK)/bin/python $(PIP) install --no-deps --force-reinstall $(CHECK)/wheel/*.whl
	cd $(CHECK)/wheel && ../bin/mypy --cache-dir ../mypy-cache --config-file $(CURDIR)/pyproject.toml -p nnef_cl

# Many short tests, each compiled alone: spread by test.
SIMULATED := operations winograd patterns views images few subpixel strips conv_rows by_rows
check-kernels: $(VENV)/.stamp-check
	NNEF_CL_TEST_OCLGRIND=1 $(BIN)/python $(PYTEST) --dist load -m "not slow" $(SIMULATED:%=tests/device/test_%.py) $(PYTEST_ARGS)

clean:
	rm -rf build dist *.egg-info
	@if [ -f $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi

# Stamps: pip runs again only when pyproject.toml has changed. An environment that is there is used as it is.
$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "$(PYTHON) is missing or older than 3.10; choose another: make PYTHON=python3.12 ..."; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) \
	  || { echo "cannot make $(VENV): apt install python3-venv, or use uv (see README.md)"; exit 1; }
	@touch $@

$(VENV)/.stamp-cpu: pyproject.toml $(VENV)/.stamp-venv
	@echo "installing nnef-cl and a CPU device into $(VENV) (about 300 MB the first time)"
	@$(BIN)/python $(PIP) install -e '.[cpu]'
	@touch $@

$(VENV)/.stamp-test: pyproject.toml $(VENV)/.stamp-venv
	@echo "installing nnef-cl, a CPU device and the test tools into $(VENV) (about 300 MB the first time)"
	@$(BIN)/python $(PIP) install -e '.[cpu,test]'
	@touch $(VENV)/.stamp-cpu $@

$(VENV)/.stamp-check: $(VENV)/.stamp-test
	@$(BIN)/python $(PIP) install -e '.[cpu,test,check]'
	@touch $@

$(CHECK)/.stamp-tools: pyproject.toml $(VENV)/.stamp-venv
	@$(PYTHON) -m venv $(CHECK)
	@$(CHECK)/bin/python $(PIP) install '.[check]'
	@touch $@
