# The commands for people and CI. `make` alone lists the targets.
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build man demo quick slowest test check race lint bench web nat soak hostile sim fuzz clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/walrus, static and reproducible
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/walrus ./cmd/walrus
	@echo "built bin/walrus $(VERSION)"

man: build ## write the manual pages into bin/man
	@bin/walrus man bin/man

demo: build ## start a network on this machine, store a blob and read it back
	@scripts/demo.sh

quick: ## before each commit: format, vet, import rules, short tests of packages affected by changes since main
	@scripts/quick.sh

slowest: ## list the ten slowest tests
	@scripts/slowest.sh

test: check ## everything that must pass: format, vet, every test once; concurrent packages under the race detector
	@scripts/test.sh

check: ## run gofmt and go vet
	@unformatted=$$(find . -name '*.go' -not -path './.*' -not -path '*/testdata/*' | xargs gofmt -l); \
	  if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	@go vet ./...
	@echo "gofmt and go vet: ok"

race: ## test only the concurrent packages, under the race detector
	@scripts/test.sh race

lint: ## run golangci-lint with .golangci.yml; the first run downloads and builds it
	@go run $(GOLANGCI) run ./...

bench: ## run benchmarks; %bound compares with the machine's limit, see docs/performance.md
	@go test -run '^$$' -bench . -benchmem ./shards/... ./certs/... ./store/...

web: build ## test a gateway and a pinner with linters, contract tests, foreign clients and a browser; installs Chromium from Debian's packages
	@scripts/web/run.sh

nat: build ## put homes behind routers of every kind, in network namespaces; some two minutes
	@scripts/nat.sh

soak: ## fill a small disk again and again; 1000 SIGKILLs under a mixed load, kills in uploads, flipped bits; 30 minutes
	@scripts/soak.sh

hostile: build ## let strangers attack seven processes and print what they achieve; 100 stores under gifts; some 6 minutes
	@scripts/hostile.sh
	@WALRUS_LOAD=1 go test ./cmd/walrus -count=1 -run 'TestGatewayUnderGifts$$' -timeout 10m -v

sim: ## compare a million operations of the ledger's rules with a model; simulate hostile monitors; some minutes
	@go test ./ledger/machine -count=1 -run 'TestModel$$' -model.ops=1000000 -timeout 120m -v
	@go test ./ledger/engine -count=1 -run 'TestCrowd$$' -engine.validators=4,16,50,100 -timeout 60m -v
	@go test ./monitor/round -count=1 -run 'TestReplay$$' -round.seeds=10000 -timeout 60m -v
	@go test ./monitor/score -count=1 -run 'Test(Hostile|Whitewash|MajorityOfSample|SlowNodes|Partition|Unbonded|Replay)$$' \
	  -sim.rounds=1000 -sim.days=1000 -sim.seeds=10000 -timeout 60m -v

fuzz: ## run every fuzz target for FUZZTIME (10s)
	@go list ./... | while read -r pkg; do \
	  for target in $$(go test -list '^Fuzz' "$$pkg" | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$pkg" | grep -v '^fuzz: elapsed'; \
	  done; \
	done

clean: ## remove bin/
	@rm -rf bin
