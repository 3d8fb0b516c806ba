# Each target sets up what it needs, in whatever state the clone and the machine are: make and git are enough, as root on
# Debian. What is generated lives in .local/; stamp files there say what is up to date, and for which path of the clone.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

DEV := .local/venvs/dev/bin/python
LOCAL := .local/venvs/localstack/bin/python
UP := $(LOCAL) -m suna_localstack.up
STAGE ?= small
AREA ?= security
# How the unit tests are measured: nothing, or `coverage run ... -m`.
COVERAGE :=

HERE := $(shell scripts/here.sh)
CACHE := $(shell scripts/cache.sh)
ifneq ($(CACHE),)
export XDG_CACHE_HOME := $(CACHE)
export npm_config_cache := $(CACHE)/npm
endif
TOOLS_STAMP := .local/tools/.stamp
DEV_STAMP := .local/venvs/dev/.stamp-$(HERE)
LOCAL_STAMP := .local/venvs/localstack/.stamp-$(HERE)
MCP_STAMP := .local/venvs/mcp-server/.stamp-$(HERE)
PEERS_STAMP := .local/venvs/bench-peers/.stamp-$(HERE)
NODE_STAMP := node_modules/.stamp
CLIENTS_STAMP := .local/venvs/api-clients/.stamp-$(HERE) scripts/api_clients/node_modules/.stamp

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  MSG=\"...\" your question     MODEL=openai/gpt-5 with OPENAI_API_KEY: a real model     PORT=8000 a fixed port"
	@echo "  DATABASE_URL, REDIS_URL: your own servers in place of the embedded ones"

##@ The local stack

.PHONY: run chat up down logs status
run: setup ## Boot, deploy, stream one answer (MSG="..."), serve until Ctrl-C
	@exec $(UP) run

chat: setup ## Interactive chat with the stack (started if it is not running)
	@$(UP) up && exec $(DEV) -m clients.terminal

up: setup ## The same stack, detached; addresses and token in .local/stack.json
	@exec $(UP) up

# With the sources of this clone: an environment that was copied along with it names those of another.
down: ## End the stack, whatever state it is in
	@if [ ! -x $(LOCAL) ] && [ -e .local/state/processes.json ]; then $(MAKE) $(LOCAL_STAMP); fi
	@if [ -x $(LOCAL) ]; then PYTHONPATH=localstack/src exec $(UP) down; else echo "nothing is running"; fi

logs: $(LOCAL_STAMP) ## Follow all logs in one stream
	@exec $(UP) logs

status: $(LOCAL_STAMP) ## What runs where
	@exec $(UP) status

##@ Checks and tests

PARTS := lint contracts errors types api unit
.PHONY: check $(PARTS) test
check: $(DEV_STAMP) ## Lint, types, import contracts, unit tests; a minute or two
	@$(MAKE) -j2 --keep-going --output-sync=target $(PARTS) && echo "check: $(words $(PARTS)) parts, 0 failed"

lint: $(DEV_STAMP)
	@$(DEV) -m ruff check && $(DEV) -m ruff format --check

# Each part with the environment that it runs in. What runs in that of the benches' peers is checked once that is there.
types: $(DEV_STAMP) $(LOCAL_STAMP)
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(DEV) -m scripts.types

contracts: $(DEV_STAMP)
	@.local/venvs/dev/bin/lint-imports

errors: $(DEV_STAMP)
	@$(DEV) -m scripts.raw_errors

api: $(DEV_STAMP)
	@$(DEV) -m scripts.api_docs --check

unit: $(DEV_STAMP)
	@$(DEV) -m $(COVERAGE) pytest tests/unit --junit-xml=.local/reports/check.xml

test: ## Everything: check, infrastructure, LocalStack plugins, integration, end to end
	@scripts/system.sh python redis tests
# By itself: what is wrong with the network or Python is said once.
	@$(MAKE) -s $(DEV_STAMP)
	@$(MAKE) -s -j2 $(LOCAL_STAMP) $(NODE_STAMP) $(MCP_STAMP) $(CLIENTS_STAMP) $(PEERS_STAMP)
	@exec $(DEV) -m scripts.test

.PHONY: bench-first-token bench-context bench-log bench-limits bench-stream bench-scale soak
bench-first-token: setup ## Added latency from POST to the first token at the client
	@$(UP) up && exec $(DEV) -m bench.first_token

bench-context: setup ## CPU and rows read of a context build, against a recount
	@exec $(UP) with-services -- $(DEV) -m bench.context

bench-log: setup ## The event log to 1, 10 and 100 readers, against a list and pub/sub
	@exec $(UP) with-services -- $(DEV) -m bench.log

bench-limits: setup ## The limit on rates: how exact, how many round trips, what a request waits for it
	@exec $(UP) with-services -- $(DEV) -m bench.limits

bench-stream: setup $(PEERS_STAMP) ## Streams at once, pushes, open WebSockets; the first token against other servers
	@$(UP) up && exec $(DEV) -m bench.stream

bench-scale: setup ## What every statement reads of a million messages, over ten thousand; a large deletion, a busy account
	@exec $(UP) with-services -- $(DEV) -m bench.scale

soak: setup ## 15 minutes of load by two accounts: what of memory, connections and files grows
	@$(UP) up && exec $(DEV) -m bench.soak

.PHONY: faults faults-once burst cuts security mutants abuse fresh-machine faketime
cuts: setup $(NODE_STAMP) ## A run of 500 events, cut off at each, at random, and for 50 clients at once
	@exec env CUTS=large $(DEV) -m pytest -p tests.counted --counted=cuts tests/e2e/test_cuts.py

security: setup $(NODE_STAMP) ## Every route and command against every kind of credential, made-up requests, bombs, logs
	@exec $(DEV) -m pytest -p tests.counted --counted=security tests/security

mutants: setup web $(NODE_STAMP) ## Each defence of AREA=security taken out: a test says so
	@PATH="$$(scripts/find-node.sh):$$PATH" && exec $(UP) with-services -- $(DEV) -m tests.mutants $(AREA)

abuse: setup $(NODE_STAMP) ## Attacks that get through without their defence, beside somebody who works
	@exec $(DEV) -m tests.abuse

fresh-machine: ## The two commands on a Debian that has nothing, as root and as a user (needs root; TESTS=1: the tests, too)
	@exec scripts/fresh-machine.sh

# Said at once, and not when all else is set up.
faketime:
	@scripts/system.sh python redis faults

faults: faketime setup $(NODE_STAMP) ## Every kind of fault at every point of a run, in a stack of its own
	@exec $(DEV) -m tests.faults

faults-once: faketime setup $(NODE_STAMP) ## ... each kind once, on both paths, but for what takes minutes
	@exec $(DEV) -m tests.faults --once

burst: faketime setup $(NODE_STAMP) ## A thousand runs while processes are killed at random, in a stack of its own
	@exec $(DEV) -m tests.faults.burst $(BURST)

.PHONY: oracle
oracle: setup $(PEERS_STAMP) ## langgraph-sdk's calls on this stack and on `langgraph dev`, compared
	@$(UP) up && exec $(DEV) -m tests.oracle

##@ Deployment

.PHONY: synth bundle cost web
web: $(TOOLS_STAMP) ## The chat page (clients/web/dist)
	@scripts/web.sh

synth: $(DEV_STAMP) $(NODE_STAMP) ## CloudFormation template of STAGE=small (or large, local)
	@PATH="$$(scripts/find-node.sh):$$PATH" && exec node_modules/.bin/cdk synth --quiet --app "$(DEV) -m infra.app" -c stage=$(STAGE) --output .local/cdk.out/$(STAGE)-cli

bundle: $(DEV_STAMP) ## The functions' bundles for AWS (arm64), size-checked
	@set -e; for group in api runner summarizer; do $(DEV) -m infra.bundling --group $$group --platform aarch64; done

cost: $(DEV_STAMP) ## Idle cost of each stage, from the dated price file
	@exec $(DEV) -m infra.cost

##@ Upkeep

.PHONY: lock audit api-docs api-clients house clean setup page
audit: $(TOOLS_STAMP) ## Known vulnerabilities of what is locked (asks the package indexes)
	@exec scripts/audit.sh

lock: $(TOOLS_STAMP) ## Resolve all dependencies anew and write the locks
	@exec scripts/lock.sh

api-docs: $(DEV_STAMP) ## Write the APIs' descriptions: docs/openapi.json, docs/asyncapi.json
	@exec $(DEV) -m scripts.api_docs

api-clients: $(DEV_STAMP) $(CLIENTS_STAMP) ## Validate docs/openapi.json; clients made of it by two generators compile
	@PATH="$$(scripts/find-node.sh):$$PATH" && exec $(DEV) -m scripts.api_clients

house: $(DEV_STAMP) $(LOCAL_STAMP) $(CLIENTS_STAMP) $(PEERS_STAMP) ## After `make test`: is everything in order? One line of JSON
	@PATH="$$(scripts/find-node.sh):$$PATH" && exec $(DEV) -m scripts.house

clean: down ## Remove everything generated, the database too
	@rm -rf .local node_modules scripts/api_clients/node_modules clients/web/node_modules clients/web/dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Both environments at the same time, and the chat page, without which the stack serves its APIs. The rest (Redis,
# functions' dependencies) is set up by the start itself.
setup:
	@scripts/system.sh python redis
	@$(MAKE) -s $(DEV_STAMP)
	@$(MAKE) -s -j2 $(LOCAL_STAMP) page

page: $(TOOLS_STAMP)
	@scripts/web.sh --optional

$(TOOLS_STAMP): scripts/uv.txt scripts/tools.sh
	@scripts/tools.sh

$(DEV_STAMP): locks/dev.txt scripts/venv.sh $(TOOLS_STAMP)
	@scripts/venv.sh dev locks/dev.txt

$(LOCAL_STAMP): localstack/requirements.lock localstack/pyproject.toml scripts/venv.sh $(TOOLS_STAMP)
	@scripts/venv.sh localstack localstack/requirements.lock localstack

$(MCP_STAMP): locks/mcp-server.txt scripts/venv.sh $(TOOLS_STAMP)
	@scripts/venv.sh mcp-server locks/mcp-server.txt

$(PEERS_STAMP): locks/bench-peers.txt scripts/venv.sh $(TOOLS_STAMP)
	@scripts/venv.sh bench-peers locks/bench-peers.txt

.local/venvs/api-clients/.stamp-$(HERE): locks/api-clients.txt scripts/venv.sh $(TOOLS_STAMP)
	@scripts/venv.sh api-clients locks/api-clients.txt

scripts/api_clients/node_modules/.stamp: scripts/api_clients/package-lock.json scripts/node.sh $(TOOLS_STAMP)
	@scripts/node.sh scripts/api_clients

$(NODE_STAMP): package-lock.json package.json scripts/node.sh $(TOOLS_STAMP)
	@scripts/node.sh
