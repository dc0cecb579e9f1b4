# What `sam build` runs, in a copy of the resource's folder; the why is in
# docs/decisions/makefile-build.md. People run `sam build`, not this.

.SILENT:

define help
SAM runs this Makefile: people run one of these instead.

  ./scripts/deploy     build, deploy, link log groups, show them
  ./scripts/sam build  build only, into .aws-sam/
  ./scripts/test       run the tests
  ./scripts/release    write what is published of a version into dist/
endef
export help

.PHONY: help
help:
	printf '%s\n' "$$help"

ifneq ($(filter build-%,$(MAKECMDGOALS)),)
ifeq ($(ARTIFACTS_DIR),)
$(error $(MAKECMDGOALS) is a target for SAM, which sets ARTIFACTS_DIR: run ./scripts/sam build)
endif

# A version manager finds its .python-version here, not in the copy. The first Python on PATH may be
# that of a virtual environment without pip, so all are tried.
ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
PYTHON := $(shell cd '$(ROOT)' && IFS=: && for folder in $$PATH; do \
	for python in "$$folder/python3.13" "$$folder/python3"; do \
		"$$python" -c 'import sys, pip; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null \
			&& "$$python" -c 'import sys; print(sys.executable)' && exit; \
	done; done)
ifeq ($(PYTHON),)
$(error sam build needs Python 3.13 with pip on PATH)
endif
endif

# Lambda cannot write bytecode beside the code, and a zip's times make ordinary bytecode look stale.
define compile
'$(PYTHON)' -I -m compileall -q --invalidation-mode unchecked-hash \
	-s '$(ARTIFACTS_DIR)' -p $(1) '$(ARTIFACTS_DIR)'
endef

# The folder is layers/dependencies/<architecture>; its platforms.txt names the wheels that Amazon
# Linux 2023 can load there. pip checks every wheel's hash, whatever machine this one is.
build-DependenciesLayerArm64 build-DependenciesLayerX8664:
	'$(PYTHON)' -I -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
		--require-hashes --no-deps --no-compile --only-binary :all: \
		--implementation cp --python-version 3.13 --abi cp313 --abi abi3 --abi none \
		$(addprefix --platform ,$(shell cat platforms.txt)) \
		--requirement ../requirements.txt --target '$(ARTIFACTS_DIR)/python'
	rm -rf '$(ARTIFACTS_DIR)/python/bin'
	$(call compile,/opt)

# The rooms that only people's machines need stay at home.
build-ShipperFunction build-RedriverFunction build-SubscriberFunction build-KinesisFunction:
	mkdir -p '$(ARTIFACTS_DIR)'
	cp -R loki_shipper '$(ARTIFACTS_DIR)'
	rm -rf $(addprefix '$(ARTIFACTS_DIR)'/loki_shipper/,bundle.py cli deployment doctor local)
	find '$(ARTIFACTS_DIR)' -name __pycache__ -prune -exec rm -rf {} +
	$(call compile,/var/task)
