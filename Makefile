.DEFAULT_GOAL := help

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the daemon and command line, ./perdure
	go build -o perdure ./cmd/perdure

# The packages that take longest begin first. Much of what they do is to wait, so that
# more of them run at once than there are cores. The race detector would end each process
# with a second of sleep.
LONGEST = ./backend/redis ./internal/chaos ./backend/failover ./backend/remote ./backend/local ./factory ./archive
# What tests write, they write to memory if there is room: an fsync costs nothing there.
SCRATCH = $$(awk '$$2 == "/dev/shm" && $$4 !~ /noexec/ { print $$2 }' /proc/mounts 2>/dev/null | xargs df -Pk 2>/dev/null | \
	awk 'NR == 2 && $$6 == "/dev/shm" && $$4 > 4000000 { print "GOTMPDIR= TMPDIR=/dev/shm" }')
TEST = env GORACE=atexit_sleep_ms=0 $(SCRATCH) go test -vet=off -p 4 -parallel 4 -timeout 20m
# The tests that the race detector would only make slow: those that begin with raced.Skip.
UNRACED = $$(grep -rh -B1 --include='*_test.go' 'raced\.Skip(t)' . | sed -n 's/^func \(Test[A-Za-z]*\)(.*/\1/p' | paste -sd '|' -)
UNRACED_IN = $$(grep -rl --include='*_test.go' 'raced\.Skip(t)' . | xargs -n1 dirname | sort -u)

test: lint ## all tests with the race detector, against real Redis processes (under 10 minutes on 2 cores)
	$(TEST) -race $(LONGEST) ./...
	$(TEST) ./internal/simulation
	$(TEST) -run "^($(UNRACED))\$$" $(UNRACED_IN)

lint: ## formatting and vet
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt these: $$unformatted"; exit 1; }
	go vet ./...
	cd benchmarks && go vet ./...

fuzz: ## every fuzz target in turn, FUZZTIME each (10s by default)
	@go list ./... | while read -r package; do \
		go test -list '^Fuzz' "$$package" | grep '^Fuzz' | while read -r target; do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime "$${FUZZTIME:-10s}" "$$package" || exit 1; \
		done || exit 1; \
	done

bench: ## perdure beside its peers, in one run, as a table of ratios
	cd benchmarks && go run .

chaos: ## every outage that is played against failover, into docs/chaos.md (about 25 minutes)
	go run ./cmd/chaos -out docs/chaos.md

simulate: ## histories of outages in virtual time, for SIMULATE (10m by default) from seed FROM on
	go test ./internal/simulation -run '^TestSimulation$$' -count 1 -timeout 0 -v -simulate "$${SIMULATE:-10m}" -from "$${FROM:-0}"

demo: ## an outage of Redis on this machine, with two daemons (needs redis-server and curl)
	bash deploy/demo.sh

proto: ## generate the RPC code from proto/ again
	go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate

.PHONY: help build test lint fuzz bench chaos simulate demo proto
