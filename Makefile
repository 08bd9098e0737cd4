# The commands of the house. `make demo` and `make test` need Python 3.11 and the package index.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# monailabel asks for sam2, which builds against torch: against the one that is there already, not
# against another 5 GB of it in a build environment of its own.
# What is downloaded is shown where somebody looks on.
QUIET   = $(shell test -t 2 || echo --quiet)
INSTALL = $(BIN)/uv pip install $(QUIET) --python $(BIN)/python -c constraints.txt

MKDOCS = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# What some tests talk to; without these Debian packages those tests are skipped.
DEBIAN = dicom3tools orthanc orthanc-dicomweb nginx-light \
	chromium libegl1 libgl1-mesa-dri libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1 fonts-dejavu-core

.PHONY: help env packages demo test test-all lint format docs bench bench-server serve wheel wheels clean audit \
	slicer-repository

help:
	@echo "make demo      build the environment, generate the MRI of an unseen phantom patient (demo/)"
	@echo "make test      the tests that take minutes, in two processes"
	@echo "make test-all  every test, slow ones and GPU ones included"
	@echo "make lint      ruff (lint and format), mypy, and the documentation"
	@echo "make docs      the documentation as a site (build/site/index.html)"
	@echo "make bench     speed and memory against Algorithm 2 written plainly (out/bench/)"
	@echo "make bench-server  the server under load, and what its reading box costs (out/bench/)"
	@echo "make audit     every version against an advisory database (needs network)"
	@echo "make serve     start the server (STUDIES=folder or PACS; by default"
	@echo "                phantom patients; OPTIONS=more, such as '--port 8001')"
	@echo "make wheel     the wheel of this project (dist/)"
	@echo "make wheels    all wheels that the Slicer module installs where there is no network (wheels/)"
	@echo "make slicer-repository  the Slicer extension as a repository of its own, for OWNER=account (build/)"
	@echo "make packages  Debian packages that some tests talk to (root; without them those skip)"

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "xr2mri needs Python 3.11: set PYTHON=..." >&2; exit 1; }
	@echo "building $(VENV): some 7 GB are downloaded, which takes minutes"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(INSTALL) torch setuptools
	SAM2_BUILD_CUDA=0 $(INSTALL) --no-build-isolation-package sam2 -e '.[server,cluster,test]'
	@touch $@

env: $(STAMP)

packages:
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(DEBIAN)

demo: $(STAMP)
	$(BIN)/xr2mri demo --out demo

# Whole processes of Python start in these; where it may keep no compiled code, each compiles torch anew.
test test-all: export PYTHONDONTWRITEBYTECODE :=

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not gpu"

test-all: $(STAMP)
	$(BIN)/python -m pytest -q

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MKDOCS)

docs: $(STAMP)
	$(MKDOCS)
	@echo "build/site/index.html"

# Without network it fails and says what then remains; a found hole fails it, too, with a table.
AUDIT = $(BIN)/uv tool run pip-audit
audit: $(STAMP)
	@$(AUDIT) --version >/dev/null 2>&1 || { \
		echo "make audit: pip-audit cannot be had: nothing was checked; it needs network. Without it," \
		"tests/test_mended_versions.py holds versions in which known holes are mended" >&2; exit 2; }
	@$(AUDIT) --strict --disable-pip --no-deps -r constraints.txt || { \
		echo "make audit: a version above has a known hole; or, where no table stands above, the" \
		"advisory database cannot be reached, and nothing was checked" >&2; exit 1; }

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python benchmarks/bench.py --out out/bench

bench-server: $(STAMP)
	$(BIN)/python benchmarks/reading_box.py --out out/bench
	$(BIN)/python benchmarks/server.py --out out/bench

# Without STUDIES, four phantoms; a folder that is named has to be there.
PHANTOMS := data/studies
STUDIES ?= $(PHANTOMS)
serve: $(STAMP)
	@case "$(STUDIES)" in \
	$(PHANTOMS)) test -e $(PHANTOMS) || { \
		$(BIN)/xr2mri phantom --cases 4 --seed 7000000 --out $(PHANTOMS).part && \
		mv $(PHANTOMS).part $(PHANTOMS); } ;; \
	http://*|https://*) ;; \
	*) test -d "$(STUDIES)" || { echo "make serve: no folder $(STUDIES)" >&2; exit 2; } ;; \
	esac
	@echo "starting the server (some 15 s) ..."
	@$(BIN)/xr2mri serve --studies "$(STUDIES)" $(OPTIONS)

# setuptools packs what an earlier build has left, too.
NO_EARLIER = rm -rf build/lib build/bdist.*

wheel: $(STAMP)
	$(NO_EARLIER)
	$(BIN)/python -m pip wheel --quiet --no-deps -w dist .

# For computers of this kind: system, processor and Python. 4 GB with the PyTorch for GPUs.
wheels: $(STAMP)
	$(NO_EARLIER)
	SAM2_BUILD_CUDA=0 $(BIN)/python -m pip wheel --quiet --no-build-isolation -c constraints.txt \
		-w wheels '.[server]' uv setuptools

# The one place where the account is named: addresses, pictures, the wheel that the module downloads.
OWNER ?=
REPOSITORY ?= build/SlicerXR2MRI
slicer-repository:
	@test -n "$(OWNER)" || { echo "make slicer-repository: set OWNER to the GitHub account that will" \
		"publish it, as in 'make slicer-repository OWNER=jane-doe'" >&2; exit 2; }
	rm -rf "$(REPOSITORY)"
	$(PYTHON) slicer_extension/tools/repository.py "$(OWNER)" "$(REPOSITORY)"

clean:
	rm -rf demo out build dist .pytest_cache .ruff_cache .mypy_cache
