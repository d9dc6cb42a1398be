# `make` shows what there is to do. CI calls the same targets (.ci/run).

FUZZ_SECONDS ?= 30
STAGE := tests/stage.sh

help: ## What the targets do
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | column -t -s "$$(printf '\t')"

demo: ## See it work: a simulated server, three backups, an export, a restore; no service needed
	cargo build --quiet --profile demo -p cli -p sim-stalwart --no-default-features --bin malle --bin demo
	$${CARGO_TARGET_DIR:-target}/demo/demo

test: setup ## Every test, against a real Stalwart and a real S3 too; installs what is missing
	$(STAGE) 'test build' cargo nextest run --workspace --no-run
	$(STAGE) 'doc tests' cargo test --quiet --workspace --doc
	$(STAGE) tests tests/in_memory.sh $${CARGO_TARGET_DIR:-target}/debug/examples/with_broker cargo nextest run --workspace

check: ## Format, lints, licences and bans, documentation, tidiness
	cargo fmt --check
	$(STAGE) clippy cargo clippy --workspace --all-targets -- -D warnings
	$(STAGE) 'clippy without the fleet' cargo clippy -p cli --no-default-features --bins -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(STAGE) documentation cargo doc --quiet --workspace --no-deps
	$(STAGE) licences tests/deny.sh
	$(STAGE) tidiness cargo test --quiet --workspace --test tidy

bench: services ## Speed, size, fairness, planning; PART=speed|size|nights|restore|requests|fairness|plan
	tests/bench.sh $(PART)

soak: setup ## The large sizes and many seeds: a million emails, an mbox of 5 GB, 500 seeds
	MALLE_SOAK=1 cargo nextest run --release --workspace --profile soak

fuzz: ## Every fuzz target for FUZZ_SECONDS
	fuzz/run.sh $(FUZZ_SECONDS)

up: services ## The whole fleet on this machine: services, a simulated mail server, a producer, three workers
	cargo build -p cli -p tests --bins
	tests/up.sh

down: ## The end of it
	tests/down.sh

night: services ## A night of 5,000 mailboxes (MAILBOXES=…): one good backup for each that is due
	cargo build --release -p cli -p tests --bins
	MALLE_BIN=target/release/malle target/release/fleet night $(or $(MAILBOXES),5000)

chaos: services ## A fleet under which everything breaks, by seeds, its history checked: SEEDS=5, or SEED=17 alone
	cargo build --release -p cli -p tests --bins
	MALLE_BIN=target/release/malle target/release/fleet chaos $(or $(SEED),0..$(or $(SEEDS),5))

setup: ## What the tests need and this machine lacks (test and bench call it)
	$(STAGE) installing tests/setup.sh test

services: ## What a fleet of our own needs, without mail server and test runner (up, night and chaos call it)
	tests/setup.sh services

.PHONY: help demo test check bench soak fuzz up down night chaos setup services
