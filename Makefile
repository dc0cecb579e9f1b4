# `sam build` runs this Makefile in a copy of the resource's folder. docs/decisions/makefile-build.md has
# the reasons. Run `sam build`, not this.

.SILENT:

define help
SAM runs this Makefile. Run one of these instead:

  ./scripts/deploy     build, deploy, link log groups, show them
  ./scripts/sam build  build only, into .aws-sam/
  ./scripts/test       run the tests
  ./scripts/release    write the files of a release to dist/
endef
export help

.PHONY: help
help:
	printf '%s\n' "$$help"

ifneq ($(filter build-%,$(MAKECMDGOALS)),)
ifeq ($(ARTIFACTS_DIR),)
$(error $(MAKECMDGOALS) is a target for SAM, which sets ARTIFACTS_DIR: run ./scripts/sam build)
endif

# A version manager finds .python-version here, not in the copy. The first Python on PATH may be in a
# virtual environment without pip, so this tries all of them.
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

# Lambda cannot write bytecode to the code's folder, and the times in a zip make ordinary bytecode look
# stale.
define compile
'$(PYTHON)' -I -m compileall -q --invalidation-mode unchecked-hash \
	-s '$(ARTIFACTS_DIR)' -p $(1) '$(ARTIFACTS_DIR)'
endef

# The folder is layers/dependencies/<architecture>. Its platforms.txt lists the platforms of wheels that
# Amazon Linux 2023 can load there. pip checks the hash of every wheel, on any machine.
build-DependenciesLayerArm64 build-DependenciesLayerX8664:
	'$(PYTHON)' -I -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
		--require-hashes --no-deps --no-compile --only-binary :all: \
		--implementation cp --python-version 3.13 --abi cp313 --abi abi3 --abi none \
		$(addprefix --platform ,$(shell cat platforms.txt)) \
		--requirement ../requirements.txt --target '$(ARTIFACTS_DIR)/python'
	rm -rf '$(ARTIFACTS_DIR)/python/bin'
	$(call compile,/opt)

# The zip leaves out the rooms that run only on your machine, or on Google Cloud.
build-ShipperFunction build-RedriverFunction build-SubscriberFunction build-KinesisFunction build-LogFilesFunction build-CanaryFunction:
	mkdir -p '$(ARTIFACTS_DIR)'
	cp -R loki_shipper '$(ARTIFACTS_DIR)'
	rm -rf $(addprefix '$(ARTIFACTS_DIR)'/loki_shipper/,bundle.py cli deployment doctor google local)
	find '$(ARTIFACTS_DIR)' -name __pycache__ -prune -exec rm -rf {} +
	$(call compile,/var/task)
