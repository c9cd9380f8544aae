# SPDX-License-Identifier: GPL-2.0
# The front door of the workshop. Kernel Makefiles are not changed here but by patches/.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.DEFAULT_GOAL := help

# V is the verbosity (V=1) of every target, and the version number of "make series".
V ?= 0
CONFIG ?= lu
J ?= $(shell nproc)
override BUILD := $(abspath $(or $(BUILD),build))
export BUILD V
export LOGS := $(BUILD)/logs
export PYTHONDONTWRITEBYTECODE := 1
export KERNEL_CACHE KERNEL_ORG_SHA256

# The compiler's cache and the fixed names make a second build of the same source quick
# and its result the same.
export CC := ccache gcc
export HOSTCC := ccache gcc
export CCACHE_DIR ?= $(BUILD)/ccache
export KBUILD_BUILD_TIMESTAMP := Sat Nov 21 00:00:00 UTC 2026
export KBUILD_BUILD_USER := lu
export KBUILD_BUILD_HOST := lu

# Our variables are not the kernel's: its make gets none of them.
MAKEOVERRIDES :=

comma := ,
TOOL := python3 tools/series/series.py
STEP := python3 tools/series/step.py
LU := tools/testing/selftests/liveupdate/iommu
VMTEST := $(BUILD)/linux/$(LU)/vmtest.sh
OUT := $(BUILD)/out-$(CONFIG)
REPORT := $(BUILD)/out/report

.PHONY: help setup fetch tree kernel demo test test-long test-negative check kunit selftest controls bisect \
	matrix series save bump clean distclean

help:      ## print this table (default)
	@echo "make TARGET [V=1: print the commands]"
	@sed -n 's/^\([a-z-]*\): *\(.*\)## \(.*\)/  \1~\3/p' Makefile | \
		awk -F'~' '{ printf "%-16s %s\n", $$1, $$2 }'

setup:     ## install what the other targets need (Debian; says what it adds)
	@# Not through STEP: a bare machine has no python3 yet.
	@mkdir -p $(LOGS); echo "== setup: the tools that the other targets need"; set -o pipefail; \
		tools/series/setup.sh 2>&1 | tee $(LOGS)/setup.log || \
		{ echo "== setup FAILED, the full log is $(LOGS)/setup.log"; exit 1; }

fetch:     ## find or fetch the base kernel's package and verify it [KERNEL_CACHE=dirs]
	@$(STEP) fetch "fetch: the pinned kernel" -- $(TOOL) fetch

tree:      ## build/linux: the base and one commit per entry [KERNEL_TREE=somebody's git tree]
	@$(STEP) tree "tree: the base kernel and one commit per entry" -- \
		$(TOOL) tree $(if $(KERNEL_TREE),--kernel-tree "$(KERNEL_TREE)")

kernel: tree   ## build the kernel, programs and RAM disks [CONFIG=lu|lu-off|debug|modules]
	@$(STEP) kernel-$(CONFIG) "kernel: CONFIG=$(CONFIG) into $(OUT)" -- \
		$(VMTEST) -b -c $(CONFIG) -d $(OUT) -j $(J) -w $(BUILD)/logs/kernel-$(CONFIG).d

demo: setup   ## the yardstick: a live update in QEMU, the result and its picture
	@$(MAKE) kernel
	@$(STEP) --bare demo "demo: DMA of a running device across a live update" -- \
		tools/series/demo.sh $(VMTEST) $(OUT) $(BUILD)/out

test: setup   ## everything that CI runs; ends with the counts
	@python3 tools/series/ci.py

test-long: kernel   ## the selftests in QEMU that take longer, which CI leaves out
	@$(STEP) test-long "test-long: boot and judge the lists that say default=long" -- \
		$(VMTEST) -c $(CONFIG) -d $(OUT) -j $(J) -w $(BUILD)/out/test-long -T long

check:     ## the rules: entries, round trip, git am, style, licences, tests of the tools
	@$(STEP) check "check: entries, style and tools" -- tools/series/check.sh

kunit: tree   ## KUnit of generic_pt and iommufd under UML, against the recorded baseline
	@# Nobody else compiles the same: ccache need not look at it preprocessed.
	@CCACHE_DEPEND=1 $(STEP) --quiet kunit-build "kunit: build the UML kernel into $(BUILD)/out-uml" -- \
		tools/series/kunit.py build $(BUILD) $(J)
	@$(STEP) kunit "kunit: run and compare with tools/series/kunit.expect" -- \
		tools/series/kunit.py run $(BUILD)

selftest: kernel   ## the kselftests in QEMU [T=list,list] [CONFIG=debug: with KASAN and kmemleak]
	@$(STEP) selftest "selftest: boot and judge $(or $(T),every list)" -- \
		$(VMTEST) -c $(CONFIG) -d $(OUT) -j $(J) -w $(BUILD)/out/selftest $(if $(T),-T $(T))

controls: kernel   ## break what the runner of the selftests watches, on real machines: it must notice
	@$(STEP) controls "controls: machines that fail in one way each" -- \
		python3 -B tools/judge/runner_controls.py --tree $(BUILD)/linux --build-dir $(OUT)

test-negative: kernel   ## take each hook away in a copy: its list fails, for the right reason [T=row,row] [UNBROKEN=0]
	@$(STEP) negative "test-negative: kernels that lack one hook each" -- \
		tools/series/negative.py --jobs $(J) $(if $(filter 0,$(UNBROKEN)),--no-unbroken) $(subst $(comma), ,$(T))

matrix: kernel   ## the series compiles with what it needs off, for arm64, as modules, which boots [T=variant,variant]
	@$(STEP) matrix "matrix: other configurations and arm64 compile" -- \
		tools/series/matrix.py --jobs $(J) $(subst $(comma), ,$(T))

bisect: kernel   ## every prefix of the series: option on and off, W=1, sparse, boot [T=entry,entry]
	@# What a prefix compiles differs from the last one: as above.
	@CCACHE_DEPEND=1 $(STEP) bisect "bisect: each prefix of the series builds and boots" -- \
		tools/series/walk.py --jobs $(J) $(subst $(comma), ,$(T))

series:    ## mail in build/out/series/vN/, proven with git am [V=N] [KERNEL_TREE=]
	@$(STEP) series "series: mail for git am and git send-email" -- \
		$(TOOL) mail --version $(if $(filter-out 0,$(V)),$(V),1) \
		$(if $(KERNEL_TREE),--kernel-tree "$(KERNEL_TREE)")

save:      ## hooks edited in build/linux go back into their entries [P=name]
	@$(STEP) save "save: edits in build/linux into patches/" -- \
		$(TOOL) save $(if $(P),--patch "$(P)")

bump:      ## move the series to another base kernel [BASE=a new base.lock]
	@$(STEP) bump "bump: the series on the kernel of $(or $(BASE),(give BASE=new.lock))" -- \
		$(TOOL) bump "$(BASE)"

clean:     ## remove what was built; base, tree, download and compiler cache stay
	@echo "clean: remove $(BUILD)/out*, $(BUILD)/kernel-tree, $(BUILD)/check, $(BUILD)/negative and $(LOGS)"
	@[ ! -d $(BUILD) ] || $(TOOL) sweep
	@rm -rf $(BUILD)/out $(BUILD)/out-* $(BUILD)/kernel-tree $(BUILD)/check $(BUILD)/negative $(LOGS)

distclean: ## remove build/; refused while build/linux has edits that are not saved
	@$(TOOL) unsaved
	@echo "distclean: remove $(BUILD)"
	@rm -rf $(BUILD)
