# make test    all tests and doctests, and a first run of the program
# make lint    formatting, clippy and rustdoc; warnings are errors
# make audit   licences, sources and advisories of dependencies; needs cargo-deny and a network
# make bench   benchmarks
# make fmt     formats the sources

CARGO ?= cargo

.PHONY: test lint audit bench fmt

# One build for everything: the tests' own build of the program is optimised enough for its first run, too.
test:
	tests/setup
	$(CARGO) test --locked
	TIDEMILL=target/debug/tidemill tests/first_light.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --locked

# Licences, sources and duplicates are also a part of `make test`, without cargo-deny.
audit:
	$(CARGO) deny check

bench:
	$(CARGO) bench --locked

fmt:
	$(CARGO) fmt
