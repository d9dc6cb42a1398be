# `make` shows what there is to do. CI calls the same targets (.ci/run).

CACHE := $(or $(MALLE_CACHE_DIR),$(HOME)/.cache/malle)
DENY := $(CACHE)/cargo-deny/0.20.2/bin/cargo-deny
FUZZ_SECONDS ?= 30

help: ## What the targets do
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | column -t -s "$$(printf '\t')"

demo: ## See it work: a simulated server, three backups, an export, a restore; no service needed
	cargo build --quiet -p cli --bin malle --example demo
	cargo run --quiet -p cli --example demo

test: setup ## Every test, against a real Stalwart and a real S3 too; installs what is missing
	cargo test --quiet --workspace --doc
	cargo nextest run --workspace

check: ## Format, lints, licences and bans, documentation, tidiness
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps
	tests/setup.sh deny
	$(DENY) --log-level error check licenses bans sources
	tests/advisories.sh $(DENY)
	cargo test --quiet -p tests --test tidy

bench: setup ## Speed, size, fairness, planning; PART=speed|size|nights|restore|fairness|plan
	tests/bench.sh $(PART)

soak: setup ## The large sizes and many seeds: a million emails, 500 seeds
	MALLE_SOAK=1 cargo nextest run --release --workspace --profile soak

fuzz: ## Every fuzz target for FUZZ_SECONDS
	fuzz/run.sh $(FUZZ_SECONDS)

up: setup ## The whole fleet on this machine: services, a simulated mail server, a producer, three workers
	cargo build -p cli -p tests --bins
	tests/up.sh

down: ## The end of it
	tests/down.sh

night: setup ## A night of 5,000 mailboxes (MAILBOXES=…): one good backup for each that is due
	cargo build --release -p cli -p tests --bins
	MALLE_BIN=target/release/malle target/release/fleet night $(or $(MAILBOXES),5000)

chaos: setup ## A fleet under which everything breaks, by seeds, its history checked: SEEDS=5, or SEED=17 alone
	cargo build --release -p cli -p tests --bins
	MALLE_BIN=target/release/malle target/release/fleet chaos $(or $(SEED),0..$(or $(SEEDS),5))

setup: ## What the tests need and this machine lacks (test and bench call it)
	tests/setup.sh test

.PHONY: help demo test check bench soak fuzz up down night chaos setup
