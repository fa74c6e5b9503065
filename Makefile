# make book, make test, make pdf, make links, make lab, make clean, make fork URL=...; README.md spells out the first two
# and `make lab` for people without make. make claims SEEDS=20: every notebook at every seed (CONTRIBUTING.md).
# make pins, make licences: what is installed, its hashes and its licences (CONTRIBUTING.md).
# make homework, make grade FOLDER=... ASSIGNMENT=... OUT=...: the students' copies from the masters, and submissions
# into marks (tests/homework/README.md).
VENV = .venv
BIN = $(VENV)/bin
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11, 5) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)
REPOSITORY := $(shell sed -n 's/^Repository = "\(.*\)"/\1/p' pyproject.toml)

# One thread for each of the two processes; the book runs at seed 0, so the tests see another.
TEST_ENVIRONMENT = FPCOURSE_SEED=1 TQDM_DISABLE=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: book test pdf links claims performance lab pins licences clean fork homework grade

book: $(VENV)/installed
	$(BIN)/jupyter-book build . -W -n --keep-going

test: book
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest tests chapters --nbval-lax --nbval-current-env \
		--nbval-cell-timeout=300 --ignore-glob='*/homework.ipynb' -n 2 --dist loadfile

pdf: book
	$(BIN)/python _extensions/print_book.py

links: $(VENV)/installed
	$(BIN)/jupyter-book build . --builder linkcheck --path-output _build/links

# Every notebook at the seeds 0 to SEEDS - 1: an hour and a half on two cores, and it may be stopped and started again.
SEEDS = 20
claims: $(VENV)/installed
	$(BIN)/python tests/every_seed.py --seeds $(SEEDS)

# The tables of "How fast is it?": a few minutes, on a machine that does nothing else (tests/benchmarks/README.md).
performance: $(VENV)/installed
	$(BIN)/python tests/benchmarks/report.py

lab: $(VENV)/installed
	$(BIN)/jupyter lab

homework: $(VENV)/installed
	$(BIN)/python tests/homework/assign.py

grade: $(VENV)/installed
	$(BIN)/python tests/homework/grade.py $(FOLDER) --assignment $(ASSIGNMENT) --out $(OUT)

# requirements-hashed.txt from requirements.txt, for Linux, macOS and Windows. Takes the uv of an environment made before.
# UPGRADE=--upgrade also renews what nobody asked for by name. Left out is what torch asks for on Linux with a GPU:
# gigabytes that a torch without CUDA does not need.
CUDA = cuda-bindings cuda-toolkit nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvshmem-cu13 triton
pins:
	printf '%s\n' $(CUDA) | $(BIN)/uv pip compile requirements.txt --quiet --output-file requirements-hashed.txt \
		--universal --python-version 3.11.5 --generate-hashes --no-emit-package torch --excludes /dev/stdin \
		--annotation-style line --custom-compile-command "make pins" $(UPGRADE)

# The table of licences.md: all that is installed, each with the licence that it declares.
licences: $(VENV)/installed
	$(BIN)/pip-licenses --from=mixed --with-system --ignore-packages fpcourse pip --format=csv --output-file=licences.csv

clean:
	rm -rf _build $(VENV) .pytest_cache .ruff_cache .hypothesis

# A teacher's fork: the address stands in pyproject.toml, and this changes it there and wherever it is repeated.
GITHUB = https://github.com/
COLAB = https://colab.research.google.com/github/
fork:
	@test -n "$(URL)" || { echo "usage: make fork URL=https://github.com/you/fpcourse" >&2; exit 2; }
	git grep -lzF '$(REPOSITORY)' | xargs -0 perl -pi -e 's{\Q$(REPOSITORY)\E}{$(URL)}g; \
		s{\Q$(REPOSITORY:$(GITHUB)%=$(COLAB)%)\E}{$(URL:$(GITHUB)%=$(COLAB)%)}g'

# Wheels only: a source distribution would run its setup, with build tools that no hash covers.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
$(VENV)/installed: requirements.txt requirements-hashed.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "this takes Python 3.11 (from 3.11.5), 3.12 or 3.13" >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --only-binary :all: --require-hashes --requirement requirements-hashed.txt
	$(PIP) --only-binary :all: --requirement requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@
