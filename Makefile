# `make help` lists the targets; README.md spells out book, test and lab for people without make.
VENV = .venv
BIN = $(VENV)/bin
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11, 5) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)
REPOSITORY := $(shell sed -n 's/^Repository = "\(.*\)"/\1/p' pyproject.toml)

# One thread for each of the two processes; the book runs at seed 0, so the tests see another.
THREADS = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
TEST_ENVIRONMENT = FPCOURSE_SEED=1 TQDM_DISABLE=1 $(THREADS)
PYTEST = $(BIN)/python -m pytest
NBVAL = --nbval-lax --nbval-current-env --nbval-cell-timeout=300 --ignore-glob='*/homework.ipynb'

.PHONY: help check lint book page test portable pretend-gpu pdf links claims paper falsify performance lab homework solutions grade pins licences fork clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

check: lint  ## while you work: lint, the quick tests and one lesson, in 90 seconds
	$(TEST_ENVIRONMENT) $(PYTEST) tests chapters/fourier_primer.ipynb $(NBVAL) -m "not slow" -n 2 -q \
		--ignore=tests/pages --ignore=tests/homework

lint: $(VENV)/installed  ## style of code and notebooks, imports, words, workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/nbstripout --keep-id --verify $$(git ls-files '*.ipynb')
	$(BIN)/codespell --dictionary tests/vocabulary.txt --dictionary - --ignore-words-list commun \
		$$(git ls-files '*.py' '*.md' '*.ipynb' '*.yml' '*.css' '*.js')
	$(BIN)/zizmor --quiet --offline --no-progress .github/workflows

book: $(VENV)/installed  ## the book, in _build/html; runs only notebooks whose code, modules, data or pins have changed
	$(BIN)/jupyter-book build . -W -n --keep-going

page: $(VENV)/installed  ## one page: make page P=chapters/2_frequency_principle/circle
	@test -e "$(P).ipynb" -o -e "$(P).md" || { echo "usage: make page P=chapters/2_frequency_principle/circle" >&2; exit 2; }
	BOOK_PAGE=$(P) $(BIN)/jupyter-book build . -n
	@echo "open _build/html/$(P).html"

test: book  ## everything: package, every notebook at another seed, every page in a browser, the grader
	$(TEST_ENVIRONMENT) $(PYTEST) tests chapters $(NBVAL) -n 2 --dist worksteal

portable: $(VENV)/installed  ## the package's tests as other processors compute
	$(TEST_ENVIRONMENT) $(BIN)/python tests/tools/portable.py

pretend-gpu: $(VENV)/installed  ## every notebook in full, and the package's tests, on a pretend GPU; takes g++
	PRETEND_GPU=full $(TEST_ENVIRONMENT) $(PYTEST) tests/pretend_gpu -n 2 --dist worksteal

claims: $(VENV)/installed  ## every claim at the seeds 0 to SEEDS - 1 (20: an hour and a half; may be stopped and continued)
	$(BIN)/python tests/tools/every_seed.py --seeds $(SEEDS)
SEEDS = 20

paper: $(VENV)/installed  ## lessons at paper scale: make paper LESSON=chapters/1_mysteries.ipynb (may be stopped and continued)
	@test -n "$(LESSON)" || { echo "usage: make paper LESSON=chapters/1_mysteries.ipynb" >&2; exit 2; }
	$(BIN)/python tests/tools/paper.py $(LESSON)

falsify: $(VENV)/installed  ## which planted error makes each claim false (tests/falsify)
	$(BIN)/python tests/tools/falsify.py --jobs 2

performance: $(VENV)/installed  ## the tables of "How fast is it?", on a machine that does nothing else
	$(BIN)/python tests/benchmarks/report.py

lab: $(VENV)/installed  ## JupyterLab
	$(BIN)/jupyter lab

pdf: book  ## the book in one file, through chromium
	$(BIN)/python _extensions/print_book.py

links: $(VENV)/installed  ## do the addresses outside the book still answer?
	$(BIN)/jupyter-book build . --builder linkcheck --path-output _build/links

homework: $(VENV)/installed  ## the students' copies from the masters
	$(BIN)/python -m fpcourse.grading.assign

solutions: $(VENV)/installed  ## what to publish after the deadline, in _build/solutions: the homework with its answers
	$(BIN)/python -m fpcourse.grading.publish solutions _build/solutions

grade: $(VENV)/installed  ## make grade FOLDER=... ASSIGNMENT=2 OUT=...: submissions into marks (fpcourse/grading/README.md)
	$(BIN)/python -m fpcourse.grading "$(FOLDER)" --assignment $(ASSIGNMENT) --out "$(OUT)"

# requirements-hashed.txt from requirements.txt, for Linux, macOS and Windows. Takes the uv of an environment made before.
# UPGRADE=--upgrade also renews what nobody asked for by name. Left out is what torch asks for on Linux with a GPU:
# gigabytes that a torch without CUDA does not need.
CUDA = cuda-bindings cuda-toolkit nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvshmem-cu13 triton
pins:  ## the hashes of what is installed, after a change of requirements.txt
	printf '%s\n' $(CUDA) | $(BIN)/uv pip compile requirements.txt --quiet --output-file requirements-hashed.txt \
		--universal --python-version 3.11.5 --generate-hashes --no-emit-package torch --excludes /dev/stdin \
		--annotation-style line --custom-compile-command "make pins" $(UPGRADE)

licences: $(VENV)/installed  ## the table of licences.md: all that is installed, each with the licence that it declares
	$(BIN)/pip-licenses --from=mixed --with-system --ignore-packages fpcourse pip --format=csv --output-file=licences.csv

# The address stands in pyproject.toml; this changes it there and wherever it is repeated. Buttons of the book that do not
# work at another forge leave themselves out (_extensions/book_launch.py).
FORK = $(patsubst %.git,%,$(patsubst %/,%,$(URL)))
BLOB = $(if $(findstring gitlab,$(FORK)),$(FORK)/-/blob/,$(FORK)/blob/)
fork:  ## make fork URL=https://github.com/you/fpcourse (or GitLab, Gitee): links and first cells point to your own copy
	@case "$(URL)" in https://*/*/*) ;; *) echo "usage: make fork URL=https://github.com/you/fpcourse" >&2; exit 2;; esac
	git grep -lzF '$(REPOSITORY)' | xargs -0 perl -pi -e \
		's{\Q$(REPOSITORY)/blob/\E}{$(BLOB)}g; s{\Q$(REPOSITORY)\E}{$(FORK)}g'

clean:  ## remove the environment and all that was built
	rm -rf _build $(VENV) .pytest_cache .ruff_cache .hypothesis

# Wheels only: a source distribution would run its setup, with build tools that no hash covers.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
$(VENV)/installed: requirements.txt requirements-hashed.txt
	@test -n "$(PYTHON)" || { echo "fpcourse needs Python 3.11 (from 3.11.5), 3.12 or 3.13 as python3, python3.13," \
		"python3.12, python3.11 or python; found: $$(python3 --version 2>&1). For 3.14 some pinned packages have no" \
		"wheels yet." >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --only-binary :all: --require-hashes --requirement requirements-hashed.txt
	$(PIP) --only-binary :all: --requirement requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@
