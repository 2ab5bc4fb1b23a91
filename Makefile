# make test    everything that a change must pass but the lints: builds, all tests and doctests, a first run of the program
# make lint    formatting, clippy and the documentation, warnings as errors
# make bench   the benches
# make fmt     formats the sources

CARGO ?= cargo

.PHONY: test lint bench fmt

test:
	tests/setup
	$(CARGO) build --release --locked
	$(CARGO) test --locked
	tests/first_light.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --locked

bench:
	$(CARGO) bench --locked

fmt:
	$(CARGO) fmt
