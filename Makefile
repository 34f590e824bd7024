# Skein: what a developer and the gate run. `make test` is all a commit must pass.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
FUZZTIME ?= 20s
SOAK     ?= 1h
CRASH    ?= 200
CHAOS    ?= 15m
SHORT    ?= 60s
MODEL    ?= 15m
SCHEDULE ?= 5m
TIMEOUT  ?= 10m
UI_OUT   ?= /tmp/skein-ui
CROSS    ?= linux/arm64 linux/arm darwin/arm64 windows/amd64
LINT     := $(GO) tool -modfile=testing/tools/go.mod golangci-lint

.PHONY: help test deps vet lint unit cross bench fuzz soak crash model cluster cluster-test cluster-chaos ui

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# One recipe a step and in this order: what is quick to fail comes first, the
# test summary is the last thing printed.
test: ## all a commit must pass
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory vet
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory cross
	@$(MAKE) --no-print-directory unit

deps: ## install redis, mosquitto, haproxy, promtool for the tests when missing
	@./testing/deps.sh

vet: ## go vet
	$(GO) vet ./...

lint: ## golangci-lint, with the import rules of the design
	$(LINT) run ./...

# The summary fails on a failed test, a package that does not build and a stream that ends
# early; a go test that fails without a word of it fails the target too.
#
# The tests of real instances run after all others, with the machine to themselves: what they
# wait for are leases and fail-overs. They and the instances are built without the race
# detector: with it, on two cores, three instances take next to nothing of the load in the
# time that a lease lasts, so the faults would meet an idle cluster. The same code runs with it
# in the other packages' tests. What a commit must pass has the same seed every time, the
# targets that take longer have new ones.
unit: ## go test -race, then real instances and SHORT (60s) of chaos, with one summary
	@{ failed=0; \
		$(GO) test -race -timeout $(TIMEOUT) -json $$($(GO) list ./... | grep -v '/testing/cluster$$') 2>&1 || failed=1; \
		CLUSTER=1 $(GO) test -count=1 -skip '^TestChaos$$' -timeout $(TIMEOUT) -json ./testing/cluster 2>&1 || failed=1; \
		CHAOS=$(SHORT) SEED=$(or $(SEED),4) $(GO) test -count=1 -run '^TestChaos$$' -timeout $(TIMEOUT) -json ./testing/cluster 2>&1 || failed=1; \
		exit $$failed; \
	} | $(GO) run ./testing/summary

cross: ## build for the other platforms
	@for p in $(CROSS); do \
		echo "build $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -o /dev/null ./... ; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) vet ./... ; \
	done

# The dashboard's tests run with the others where chromium is; this installs it, runs them
# and keeps the screenshots.
ui: ## the dashboard in chromium, which is installed; screenshots in UI_OUT
	@./testing/deps.sh ui
	@mkdir -p $(UI_OUT)
	$(GO) test -count=1 -timeout $(TIMEOUT) -v -artifacts -outputdir $(UI_OUT) ./testing/ui

bench: ## measure against mosquitto, and three instances against other clusters: the tables of the README
	$(GO) run ./testing/bench

# go test -fuzz takes one target of one package at a time. Minimizing is bounded in
# tries: by time, it goes on after FUZZTIME in targets that drive a whole broker.
fuzz: ## every fuzz target, FUZZTIME each
	@{ grep -rlE '^func Fuzz[A-Za-z0-9_]*\(' --include='*_test.go' . || true; } | sort | while read -r file; do \
		grep -oE '^func Fuzz[A-Za-z0-9_]*' "$$file" | sed 's/^func //' | while read -r name; do \
			echo "fuzz $$(dirname "$$file") $$name"; \
			$(GO) test -run='^$$' -fuzz="^$$name\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=5x "$$(dirname "$$file")" </dev/null; \
		done; \
	done

soak: ## a node under load for SOAK (1h), memory must stay flat
	SOAK=$(SOAK) $(GO) test -count=1 -run '^TestSoak$$' -timeout 0 -v ./testing/soak

cluster-test: ## three real instances, Redis and HAProxy, each failure of the design; alone on the machine
	CLUSTER=1 $(GO) test -count=1 -skip '^TestChaos$$' -timeout 20m -v ./testing/cluster

# Faults of every kind for CHAOS, then what was acknowledged is compared with what arrived.
cluster-chaos: ## three instances under load and failures of all kinds for 15 minutes; SEED=n
	CHAOS=$(CHAOS) SEED=$(SEED) $(GO) test -count=1 -run '^TestChaos$$' -timeout 30m -v ./testing/cluster

# What a node acknowledged must survive its end at any moment. SEED repeats a run's choices.
crash: ## kill a node under load CRASH (200) times, at most 10 minutes; SEED=n
	CRASH=$(CRASH) SEED=$(SEED) $(GO) test -count=1 -run '^TestCrash$$' -timeout 15m -v ./testing/crash

# The cluster's protocol, every state of the instances that minutes are enough for, then
# random walks for the rest of the time. `go run ./testing/model/modelcheck` searches one.
# Then real instances under random schedules, for SCHEDULE.
model: ## the cluster's model: exhaustive, each rule left out, then walks; MODEL (15m) in all, real instances SCHEDULE (5m), SEED=n
	MODEL=$(MODEL) SEED=$(SEED) $(GO) test -count=1 -run 'Exhaustive|Until' -timeout 0 -v ./testing/model
	SCHEDULE=$(SCHEDULE) SEED=$(SEED) $(GO) test -count=1 -run '^TestRandom$$' -timeout 0 -v ./testing/schedule

cluster: ## three nodes, Redis and HAProxy on this host, to try; Ctrl-C ends them
	@exec ./docker/cluster.sh
