# Two commands: `make run` starts the service, `make test` tests it. Both set everything up first; `make` lists the rest.

VENV ?= .venv
# The first Python from 3.11 on that is found; PYTHON=… picks another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
KERNELS := jobs/engine/backends/winograd
BUILD_KERNELS := $(BIN)/python -m jobs.engine.backends.winograd.build
# make itself gives CC a value; only somebody else's counts.
CC_ASKED := $(if $(filter default undefined,$(origin CC)),,$(CC))

.DEFAULT_GOAL := help
.PHONY: help run test quick setup kernels kernels-sanitize check format messages reference families vulkan release clean

help:  ## List the commands
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "  make %-18s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  Options: PORT=8001 UPSCALER_DATA_DIR=/srv/upscaler make run; more in README.md, Configuration"

run: setup  ## Start the service and print its address; Ctrl-C stops it
	@exec $(BIN)/python -m upscaler_site.serve

# Two processes for each core: most tests wait for other processes. ARGS="-n 0" runs all in one, as a debugger needs it.
test: $(VENV)/.dev $(KERNELS)/built/.tried  ## Run every test; ARGS="-k tiles -x" goes to pytest
	$(BIN)/python -m pytest -n auto --dist worksteal --durations=25 $(ARGS)

# What a change breaks first, in two minutes on two cores: tests/README.md says what it holds. One process for each core.
quick: $(VENV)/.dev $(KERNELS)/built/.tried  ## Run the tests that neither start other programs nor compute for long; ARGS as above
	$(BIN)/python -m pytest -n logical --dist worksteal -m "not processes and not slow" $(ARGS)

setup: $(VENV)/.installed $(VENV)/.reference $(VENV)/.families $(KERNELS)/built/.tried  ## Only install, as `make run` does first

check: $(VENV)/.dev  ## Lint, types, import directions, migrations, API document, production settings
	@BIN=$(BIN) .ci/check

format: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

messages: $(VENV)/.dev  ## Bring the translations in templates/locale up to date with the texts
	@$(BIN)/python .ci/messages

reference: $(VENV)/.installed  ## Try again to install the original realesrgan package
	@rm -f $(VENV)/.reference && $(MAKE) --no-print-directory $(VENV)/.reference

vulkan: $(VENV)/.vulkan  ## Install ncnn, which computes on graphics cards of any maker by Vulkan (DEVICE=vulkan)

families: $(VENV)/.installed  ## Try again to install spandrel, which knows networks of other families
	@rm -f $(VENV)/.families && $(MAKE) --no-print-directory $(VENV)/.families

kernels: $(VENV)/.installed  ## Build the fast kernels for CPUs anew; CC=clang picks a compiler, CC=zig fetches one (438 MB)
	@if [ "$(CC_ASKED)" = zig ]; then $(PIP) --requirement requirements-zig.txt; fi
	@$(BUILD_KERNELS) --cc "$(CC_ASKED)"
	@touch $(KERNELS)/built/.tried

kernels-sanitize: | $(BIN)/python  ## Run the kernels over many shapes under ASan, UBSan and TSan (a minute)
	@$(BIN)/python -m tests.jobs.engine.backends.winograd.sanitize --cc "$(CC_ASKED)"

release: $(VENV)/.dev  ## Prepare a release: make release VERSION=1.1.0
	@$(BIN)/python .ci/release "$(VERSION)"

clean:  ## Remove the virtual environment; your data stays
	rm -rf $(VENV)

# A stamp says that an installation went through to its end: with all of them in place a start takes seconds.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found. PYTHON=/path/to/python make run" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.installed: requirements.txt requirements-web.txt | $(BIN)/python
	@echo "Installing what the service needs (some minutes the first time) …"
	@$(PIP) --requirement requirements.txt
	@touch $@

# The original package is an option: without it everything works but ENGINE_BACKEND=reference.
$(VENV)/.reference: requirements-reference.txt requirements-build.txt $(VENV)/.installed
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then \
		echo "Note: the original realesrgan package cannot be built on Python 3.13 or newer. The service works without it;"; \
		echo "      only ENGINE_BACKEND=reference is missing. PYTHON=python3.12 make clean run would include it."; \
		echo "not on this Python" > $@; \
	elif echo "Installing the original realesrgan package …" \
		&& $(PIP) --requirement requirements-build.txt \
		&& $(PIP) --no-deps --no-build-isolation --requirement requirements-reference.txt; then \
		echo installed > $@; \
	else \
		echo "Note: the original realesrgan package could not be installed (see above). The service works without it;"; \
		echo "      only ENGINE_BACKEND=reference is missing. Try again with: make reference"; \
		echo failed > $@; \
	fi

# An option, too: without it the service knows RRDBNet and SRVGGNetCompact only.
$(VENV)/.families: requirements-families.txt $(VENV)/.installed
	@if $(PIP) --no-deps --requirement requirements-families.txt; then \
		echo installed > $@; \
	else \
		echo "Note: spandrel could not be installed (see above). The service works without it; only models of other families"; \
		echo "      than RRDBNet and SRVGGNetCompact are refused. Try again with: make families"; \
		echo failed > $@; \
	fi

# Machines without a C compiler compute with OpenVINO. Tried once for each state of the source.
$(KERNELS)/built/.tried: $(wildcard $(KERNELS)/*.[ch]) $(KERNELS)/build.py $(KERNELS)/variants.py | $(BIN)/python
	@$(BUILD_KERNELS) --optional --cc "$(CC_ASKED)"
	@mkdir -p $(dir $@) && touch $@

$(VENV)/.vulkan: requirements-vulkan.txt $(VENV)/.installed
	@echo "Installing ncnn …"
	@$(PIP) --requirement requirements-vulkan.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements-vulkan.txt $(VENV)/.installed $(VENV)/.reference $(VENV)/.families
	@echo "Installing what the tests need …"
	@$(PIP) --requirement requirements-dev.txt
	@touch $@
