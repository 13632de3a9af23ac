# Every target is short; what takes more than a line is in scripts/.
.DEFAULT_GOAL := help
.PHONY: help run test test-long bench bench-quick fmt documents sqlx clean-data
# The recipes share files and the machine; cargo uses all cores by itself.
.NOTPARALLEL:

# Most of what the tests do is wait: for leases to end, for nodes to come back.
export RUST_TEST_THREADS ?= 4

bin = $${CARGO_TARGET_DIR:-target}/release/studyhall

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 20

run: ## install what is missing, build, start everything, print the address and a demo sign-in
	@scripts/setup.sh run
	@cargo build --release --bin studyhall
	@exec $(bin) dev

test: ## install what tests need, then everything that CI runs
	@scripts/setup.sh test
	cargo fmt --all --check
	@scripts/sqlx-prepare.sh --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace

test-long: ## also the tests that take minutes
	@scripts/setup.sh test
	cargo test --workspace -- --include-ignored

bench: ## measure everything beside floor and peers (20 minutes), write docs/performance.md
	@scripts/bench.sh

bench-quick: ## instructions of the hub, and rooms and lecture beside the floor (3 minutes)
	@scripts/bench-quick.sh

fmt: ## format the code
	cargo fmt --all

documents: ## make TypeScript, JSON Schema, OpenAPI and AsyncAPI anew after changing protocol/src
	@UPDATE=1 cargo test --quiet -p studyhall-protocol --test documents

sqlx: ## describe the queries anew after changing SQL or migrations
	@scripts/sqlx-prepare.sh

clean-data: ## remove the private servers and all that is stored in them
	@scripts/clean-data.sh
