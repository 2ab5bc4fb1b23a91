# make test    all tests and doctests, and a first run of the program
# make lint    formatting, clippy and rustdoc; warnings are errors
# make audit   licences, sources and advisories of dependencies; needs cargo-deny and a network
# make bench   benchmarks
# make fmt     formats the sources
# make dist    an archive of the program and its files for this machine, with its SHA-256, in target/release-archives

CARGO ?= cargo
# The features that are tested.
ALL := grpc
# Those of the program that `make dist` builds.
FEATURES ?=

.PHONY: test lint audit bench fmt dist

# One build for everything: the tests' own build of the program is optimised enough for its first run, too. It has every
# feature; `make lint` sees that the program is built without them as well.
test:
	tests/setup
	$(CARGO) test --locked --features $(ALL)
	TIDEMILL=target/debug/tidemill tests/first_light.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked --features $(ALL) -- -D warnings
	$(CARGO) clippy --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --locked --features $(ALL)

# Licences, sources and duplicates are also a part of `make test`, without cargo-deny.
audit:
	$(CARGO) deny check

bench:
	$(CARGO) bench --locked

fmt:
	$(CARGO) fmt

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
ARCHIVE := tidemill-$(VERSION)-$(HOST)
ARCHIVES ?= target/release-archives
# The program to pack; without it, the one that is meant for production is built.
BIN ?=

# Equal files make equal archives: no times, owners or orders of the machine are in them.
dist: BUILT := $(or $(BIN),target/dist/tidemill)
dist:
	$(if $(BIN),,$(CARGO) build --profile dist --locked --features "$(FEATURES)")
	rm -rf $(ARCHIVES)/$(ARCHIVE)
	mkdir -p $(ARCHIVES)/$(ARCHIVE)/completions
	install -m 755 $(BUILT) $(ARCHIVES)/$(ARCHIVE)/tidemill
	cp -r README.md CHANGELOG.md LICENSE dataflows config data docs $(ARCHIVES)/$(ARCHIVE)
	set -e; for shell in bash fish zsh; do $(BUILT) completions $$shell >$(ARCHIVES)/$(ARCHIVE)/completions/tidemill.$$shell; done
	$(BUILT) man --out $(ARCHIVES)/$(ARCHIVE)/man
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=go-w -C $(ARCHIVES) -cf - $(ARCHIVE) | gzip -n >$(ARCHIVES)/$(ARCHIVE).tar.gz
	rm -r $(ARCHIVES)/$(ARCHIVE)
	cd $(ARCHIVES) && sha256sum $(ARCHIVE).tar.gz >$(ARCHIVE).tar.gz.sha256
