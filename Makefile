# What people and CI call (docs/setup.md tells more). Each target is a plain command or two that can be run by hand as well.

# A user's libtorch is for the set-up alone, which makes .libtorch point to it; cargo then finds that
# (.cargo/config.toml), whatever the environment holds.
USER_LIBTORCH := $(LIBTORCH)
unexport LIBTORCH LIBTORCH_LIB LIBTORCH_INCLUDE LIBTORCH_USE_PYTORCH LIBTORCH_STATIC
# The targets call no other make, and cargo would look for a job server that it cannot reach.
unexport MAKEFLAGS MFLAGS
# Two cargo commands at once would only wait for each other.
.NOTPARALLEL:

CARGO ?= cargo
# For example CARGO_FLAGS=--locked, which CI uses.
CARGO_FLAGS ?=
PREFIX ?= $(HOME)/.local
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PYTHON_REF := $(or $(FROSTLINE_PYTHON),.python-ref/bin/python)

SETUP = LIBTORCH='$(USER_LIBTORCH)' sh scripts/setup.sh $(if $(FETCH),--fetch)

.DEFAULT_GOAL := help
.PHONY: help setup cuda python build run demo test check bench pictures gpu-check gpu-bundle fixtures install clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  LIBTORCH=DIR make build   use a libtorch of your own (docs/setup.md)"

setup: ## fetch libtorch into the cache folder, if it is not there
	@$(SETUP)

cuda: ## the same with the CUDA libraries, also where no NVIDIA driver is found
	@$(SETUP) --cuda

python: ## fetch Python's PyTorch for the tests that compare with it (FROSTLINE_PYTHON=none leaves it out)
	@python3 -B scripts/python_ref.py

build: setup ## build target/release/frostline
	$(CARGO) build --release $(CARGO_FLAGS)

run: build ## build, and open the program
	@$(TARGET_DIR)/release/frostline

demo: build ## build, and fine-tune on the embedded digits
	@sh scripts/demo.sh

test: setup python ## run every test, with libtorch and without
	@CARGO='$(CARGO)' sh scripts/test.sh $(CARGO_FLAGS)

check: setup ## check the format, the lints and the docs
	$(CARGO) fmt --check
	$(CARGO) clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	$(CARGO) clippy $(CARGO_FLAGS) --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(CARGO_FLAGS) --no-deps

bench: setup python ## time the trainer, images, several ranks, frozen steps, freeze plans, saves, weights files and charts
	for example in overhead bench_data bench_parallel freeze_speed bench_resolve bench_save_stall bench_weights charts; do $(CARGO) run --release $(CARGO_FLAGS) --example $$example || exit 1; done

pictures: build ## make the README's pictures again, from real screens
	$(CARGO) run --release $(CARGO_FLAGS) --example pictures

gpu-check: gpu-bundle ## check on the GPU what the tests cannot check without one (PYTHON=… has PyTorch 2.11 for CUDA)
	python3 -B scripts/gpu_checks.py --bin '$(TARGET_DIR)/gpu-bundle' $(if $(PYTHON),--python '$(PYTHON)')

gpu-bundle: setup ## put these checks into one folder, for a machine with a GPU and without Rust (docs/gpu.md)
	@CARGO='$(CARGO)' sh scripts/gpu_bundle.sh '$(TARGET_DIR)' $(CARGO_FLAGS)

fixtures: python ## write the reference fixtures again, with Python's PyTorch
	$(PYTHON_REF) scripts/fixtures.py

install: build ## copy the program to PREFIX/bin (PREFIX is ~/.local)
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 755 $(TARGET_DIR)/release/frostline '$(DESTDIR)$(PREFIX)/bin/frostline'
	@case ":$$PATH:" in *':$(PREFIX)/bin:'*) ;; *) echo 'note: $(PREFIX)/bin is not on your PATH' ;; esac

clean: ## remove what was built; libtorch stays in the cache folder
	$(CARGO) clean
	rm -f .libtorch .python-ref
