# The steps of `make test`, two at a time: most of what a test takes, it waits. One comes after another where it needs
# what that has made or starts the stack of the same folder, and so that both rows take about as long. (A step does not
# fail: it leaves a mark.)
all: step-browser step-integration

step-check: step-web
step-e2e: step-check
step-browser: step-e2e

step-infra: step-api-clients
step-localstack: step-infra
step-integration: step-localstack

step-%:
	@echo "=== $* has begun" >&3
	@scripts/test_step.sh $* 3>&-
