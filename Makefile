# make demo    train a tiny model on the CPU through verl's own trainer and show what changed; DATA=DIR for your own images
# make test    install what is missing and run all tests; test-fast, test-unit, test-process and test-engine run a part of them
PYTHON ?= $(shell command -v python3.11 || command -v python3)
DATA ?=
VENV := .venv
RUN := $(VENV)/bin/python
# The pinned set is for Linux on x86-64 with Python 3.11, the one machine that vLLM's CPU build and the list are made for.
ENGINE := $(shell $(PYTHON) -c 'import platform, sys; print(int((platform.system(), platform.machine(), sys.version_info[:2]) == ("Linux", "x86_64", (3, 11))))' 2>/dev/null)

.PHONY: install demo ablations test test-fast test-unit test-process test-engine drills lint docs docs-generate attacks bench bench-data bench-evaluation bench-trainers bench-cold-start fuzz versions gpu-check rehearse hardware lock clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml $(wildcard requirements/*.txt)
	@$(PYTHON) --version >/dev/null 2>&1 || { echo "make: expected $(PYTHON), found none; name another: make PYTHON=python3 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
ifeq ($(ENGINE),1)
	$(RUN) -m pip install --quiet --no-deps --require-hashes -r requirements/uv.txt
	$(VENV)/bin/uv pip install --python $(RUN) --no-deps --require-hashes -r requirements/cpu.txt
	$(VENV)/bin/uv pip install --python $(RUN) --no-deps --no-build-isolation --editable .
else
	$(RUN) -m pip install --quiet --editable '.[dev]'
endif
	@touch $@

demo:
ifneq ($(ENGINE),1)
	@echo "make demo: vLLM's CPU build and the pinned list are for Linux on x86-64 with Python 3.11; this is $$($(PYTHON) -c 'import platform; print(platform.system(), platform.machine(), "Python", platform.python_version())' 2>/dev/null || echo 'a machine without $(PYTHON)'). make test runs all that needs no engine."
	@exit 1
else
	@$(MAKE) --no-print-directory install
	$(VENV)/bin/vision-r1 demo $(if $(DATA),--data "$(DATA)")
endif

# The demo with one thing changed at a time; hours, and taken up where it was left.
ablations: install
	$(VENV)/bin/vision-r1 ablations --results docs/ablations.jsonl

# Without byte code on disk, each process compiles torch, verl and vLLM anew: 20 seconds.
unexport PYTHONDONTWRITEBYTECODE

PYTEST := $(RUN) -m pytest -q
PARALLEL := --numprocesses 2 --dist loadfile
# Tests without a process need no order, so a worker that is done takes over the other's.
BALANCED := --numprocesses 2 --dist worksteal
# Of torch's threads in two processes on two cores most would wait for each other.
ONE := OMP_NUM_THREADS=1
# Rooms that import neither verl nor torch.
PURE := vocabulary rewards data evaluation report

test: install
	$(ONE) $(PYTEST) -m "not engine" $(PARALLEL)
	$(PYTEST) -m engine

# Everything that is pure: no verl, no process, no browser. Property tests try a fifth of their examples.
test-fast: install
	$(ONE) $(PYTEST) -m "not (engine or process or verl or slow)" --hypothesis-profile fast $(BALANCED) $(PURE:%=tests/%) \
	  verl_vision_r1/rewards

test-unit: install
	$(ONE) $(PYTEST) -m "not (engine or process)" $(BALANCED)

# Tests that start a process, Ray on this machine or a browser.
test-process: install
	$(ONE) $(PYTEST) -m process $(PARALLEL)

test-engine: install
	$(PYTEST) -m engine

drills: install
	DRILLS=1 $(RUN) -m pytest -q -m engine tests/engine

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# The site, in site/; some pages are made from the code first. The switch silences the theme's notice about MkDocs 2.
docs: docs-generate
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

docs-generate: install
	$(RUN) docs/generate.py

# What the presets pay for answers that cheat, as the documentation shows it.
attacks: install
	sed -i '/^| completion/,$$d' docs/background/attacks.md
	$(VENV)/bin/vision-r1 attacks >> docs/background/attacks.md
	printf '\n## Points\n\n' >> docs/background/attacks.md
	$(VENV)/bin/vision-r1 attacks --task pointing >> docs/background/attacks.md
	sed -i '/^| negatives/,$$d' docs/background/policies.md
	$(VENV)/bin/vision-r1 attacks --policies >> docs/background/policies.md
	printf '\n## Points\n\n' >> docs/background/policies.md
	$(VENV)/bin/vision-r1 attacks --policies --task pointing >> docs/background/policies.md

# How long scoring takes, and a million completions that must neither raise nor take long.
bench: install
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(RUN) tests/speed/bench.py

bench-data: install
	$(RUN) tests/speed/bench_data.py

bench-evaluation: install
	$(RUN) tests/speed/bench_evaluation.py --write

# Our trainer, TRL and a single process without a framework in turn, half an hour on an idle machine. TRL and verl do not
# go together, so it gets an environment of its own. Needs uv, which `make install` installs.
bench-trainers: install build/trainers/installed
	$(RUN) tests/speed/bench_trainers.py --write

# As root: it empties the memory's copies of files.
bench-cold-start: install build/trainers/installed
	$(RUN) tests/speed/bench_cold_start.py --write

build/trainers/installed: requirements/cpu.txt requirements/trainers.txt
	$(VENV)/bin/uv venv --quiet --clear --python $(RUN) build/trainers
	$(VENV)/bin/uv pip install --quiet --python build/trainers/bin/python --no-deps -r requirements/cpu.txt -r requirements/trainers.txt
	$(VENV)/bin/uv pip install --quiet --python build/trainers/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

fuzz: install
	$(RUN) tests/speed/fuzz.py

# Every verl of our range that the package index has, with the oldest, the pinned and the newest packages that go with it, in
# fresh environments in build/versions; half an hour. CELLS=NAME runs one, TRAIN=1 trains a tiny model in each, VERL=PATH takes
# a folder or wheel of a verl that is not released. Needs uv.
versions: install
	$(RUN) tests/versions/matrix.py $(CELLS) $(if $(VERL),--verl "$(VERL)") $(if $(TRAIN),--train) --write

# One step of every training recipe at its real size, without a GPU; RECIPES=NAME for one. An hour on two cores.
rehearse: install
	$(RUN) docs/rehearse.py $(RECIPES)
	$(RUN) docs/generate.py guides/rehearse.md

# The GPUs that each model needs, by the estimate; two minutes.
hardware: install
	$(RUN) docs/hardware.py
	$(RUN) docs/generate.py guides/hardware.md

# Three steps with a model of real size on this machine's GPUs; without one it says what it would do.
gpu-check: install
	$(VENV)/bin/vision-r1 gpu-check

# The list names versions and hashes and no package index. Needs uv.
lock:
	uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --override requirements/overrides.txt \
	  --generate-hashes --no-emit-index-url --no-annotate --no-header requirements/cpu.in -o requirements/cpu.txt
	echo uv | uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header - -o requirements/uv.txt

clean:
	rm -rf demo build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
