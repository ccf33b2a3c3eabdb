# make            lists the targets
# PYTHON=...      names the Python to take instead of the newest supported one that is found

.DEFAULT_GOAL := help
.PHONY: help demo test test-plugins test-other-numpy install-plugins lint docs check \
	release-check clean

export PYTHON

# of MXNet in each of the two processes that run tests, unless somebody says otherwise; what they
# compile is kept for the many processes that they start
ONE_THREAD = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1}
# A process that crashes ends the run and names its test: pytest-xdist 3.8 waits for ever for the
# tests of a file that it gave to another process in its place.
# A third of the tests at a time: one process that runs a whole half keeps gigabytes (of OpenVINO's
# models, which are not freed beside MXNet, see runtime/ssdreg_runtime/backends/openvino.py).
IN_TWO = -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

help:   ## list the targets
	@sed -n 's/^\([a-z-]*\): .*##/make \1\t/p' Makefile | expand -t 23

demo:   ## train a small detector on drawn shapes, score it and show what it finds
	@tools/make-venv
	@.venv/bin/ssdreg demo

test:   ## run the whole test suite, that of the runtime and of every plug-in included
	@tools/make-venv test
	@$(ONE_THREAD) .venv/bin/python -m pytest $(IN_TWO) tests/[a-d]*
	@$(ONE_THREAD) .venv/bin/python -m pytest $(IN_TWO) tests/[e-o]*
	@$(ONE_THREAD) .venv/bin/python -m pytest $(IN_TWO) tests/[p-z]* runtime/tests
	@why=$$(.venv/bin/python tests/support/index.py); if [ -z "$$why" ]; then tools/test-plugins; \
		else echo "The plug-ins are not tested: $$why"; fi

test-plugins:  ## build and install every plug-in afresh, and test them there
	@tools/make-venv test
	@tools/test-plugins

test-other-numpy:  ## test the most important parts with NumPy 1 where .venv has 2, or 2 where it has 1
	@tools/make-venv test
	@tools/test-other-numpy

install-plugins:  ## install every plug-in of plugins/ into .venv, editable, without PyTorch
	@tools/make-venv
	@for each in $(filter-out plugins/ssdreg-torch/,$(wildcard plugins/*/)); do \
		.venv/bin/python -m pip install --quiet --editable "$$each"; done
	@.venv/bin/python -m pip install --quiet --no-deps --editable plugins/ssdreg-torch

lint:   ## run the linters, the type checker, and the check of the layers
	@tools/make-venv lint
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache --no-logo
	@.venv/bin/hadolint deploy/Dockerfile

docs:   ## build the documentation into build/docs
	@tools/make-venv docs
	@.venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env \
		--doctree-dir build/doctrees docs build/docs
	@echo "Open build/docs/index.html"

check: lint test   ## run the linter and the tests

release-check:  ## build sdists and wheels of everything, check them, and run what they install
	@tools/make-venv release
	@tools/release-check

clean:  ## remove the environment and what builds and tools left behind
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	rm -rf runtime/build runtime/*.egg-info plugins/*/build plugins/*/*.egg-info
