# sidesnap: `make help` lists what there is. Everything that is built lands below O.

O ?= build
PREFIX ?= /usr/local
DESTDIR ?=
IMAGE ?= sidesnap
WERROR ?= -Werror
PYTEST_ARGS ?=
BENCH_ARGS ?=

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
out := $(abspath $(O))
deps := $(O)/deps

VERSION := $(shell scripts/version)
# PACKAGES="base store" and TESTS="test_base_text" narrow what is compiled and run.
PACKAGES ?= $(patsubst pkg/%/,%,$(sort $(dir $(wildcard pkg/*/*.c))))
TESTS ?= $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/test_*.c)))
packages := $(PACKAGES)
agent_packages := $(filter base store wire tree,$(packages))
unit_tests := $(TESTS)
unit_helpers := $(filter-out $(wildcard tests/unit/test_*.c),$(sort $(wildcard tests/unit/*.c)))

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(WERROR)
BASE_CFLAGS := -std=gnu11 -D_GNU_SOURCE -Ipkg -include pkg/base/banned.h -O2 -g -fno-strict-aliasing \
	-ffunction-sections -fdata-sections -fstack-protector-strong
BASE_LDFLAGS := -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LIBS := -larchive -ltar -lz -lyaml -lcurl -lmbedtls -lmbedx509 -lmbedcrypto -lcjson -lzstd -lblake3
AGENT_LIBS := -lcjson -lzstd -lblake3

# Where mbedtls looks for threads, and what glibc's static parts want beside it.
GLIBC_LIBS := -lpthread -lm

# One tree of objects for each way of compiling. NAME_CC, NAME_CFLAGS, NAME_LDFLAGS, NAME_LIBC;
# NAME_AGENT is the variant whose agent is embedded.
variants := release failpoints ubsan unit asan
release_CC := $(deps)/musl/bin/musl-gcc
release_LDFLAGS := -static
release_LIBC := musl
release_AGENT := release
failpoints_CC := $(release_CC)
failpoints_CFLAGS := -DSIDESNAP_FAILPOINTS
failpoints_LDFLAGS := -static
failpoints_LIBC := musl
failpoints_AGENT := failpoints
ubsan_CC := $(release_CC)
ubsan_CFLAGS := -DSIDESNAP_FAILPOINTS -fsanitize=undefined -fsanitize-undefined-trap-on-error
ubsan_LDFLAGS := -static
ubsan_LIBC := musl
ubsan_AGENT := ubsan
unit_CC := gcc
unit_CFLAGS := -DSIDESNAP_FAILPOINTS -I$(deps)/glibc/include
unit_LDFLAGS := -L$(deps)/glibc/lib
unit_LIBC := glibc
unit_LIBS := $(GLIBC_LIBS)
unit_AGENT := release
asan_CC := gcc
asan_CFLAGS := -DSIDESNAP_FAILPOINTS $(SANITIZE) -I$(deps)/glibc/include
asan_LDFLAGS := $(SANITIZE) -L$(deps)/glibc/lib
asan_LIBC := glibc
asan_LIBS := $(GLIBC_LIBS)
asan_AGENT := ubsan

ifdef V
q :=
else
q := @
endif
say = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)')

# ---- libraries ----------------------------------------------------------------------------------

# The cache may have been emptied since; then the stamp is worth nothing.
$(foreach l,musl glibc,$(if $(wildcard $(deps)/$(l)/.complete),,$(shell rm -f $(O)/.deps-$(l))))

$(O)/.deps-musl $(O)/.deps-glibc: $(O)/.deps-%: scripts/deps scripts/deps-build scripts/deps.lock
	@mkdir -p $(O)
	@scripts/setup --build-only
	@dir=$$(scripts/deps $*) && ln -sfn "$$dir" $(deps)
	@touch $@

# ---- objects, archives, programs ----------------------------------------------------------------

$(O)/version: FORCE
	@mkdir -p $(O)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@

# Only the sources that name the version are compiled again when it changes.
versioned := $(shell grep -lsr --include=*.c SIDESNAP_VERSION cmd pkg)

define variant_rules
$(1)_obj := $(O)/obj/$(1)
$(1)_archives := $$(packages:%=$(O)/obj/$(1)/lib/lib%.a)
$(1)_agent_archives := $$(agent_packages:%=$(O)/obj/$(1)/lib/lib%.a)
$(1)_agent_objects := $$(patsubst %.c,$(O)/obj/$(1)/%.o,$$(sort $$(wildcard cmd/agent/*.c)))
$(1)_main_objects := $$(patsubst %.c,$(O)/obj/$(1)/%.o,$$(sort $$(wildcard cmd/sidesnap/*.c)))
$(1)_dir := $(O)$(if $(filter release,$(1)),,/$(1))

$$(versioned:%.c=$(O)/obj/$(1)/%.o): private CPPFLAGS += -DSIDESNAP_VERSION='"$$(VERSION)"'
$$(versioned:%.c=$(O)/obj/$(1)/%.o): $(O)/version

$(O)/obj/$(1)/%.o: %.c $(O)/.deps-$$($(1)_LIBC) Makefile
	$$(call say,$(if $(filter release,$(1)),CC,CC/$(1)),$$<)
	@mkdir -p $$(@D)
	$$(q)$$($(1)_CC) $$(BASE_CFLAGS) $$(WARNINGS) $$($(1)_CFLAGS) $$(CPPFLAGS) -MMD -MP -c -o $$@ $$<

# Built-in drivers are included by the assembler, which leaves no dependency file.
$(O)/obj/$(1)/pkg/driver/builtin.o: $$(wildcard pkg/driver/data/*.json)

$$(foreach p,$$(packages),$$(eval $$(call archive_rule,$(1),$$(p))))

# The agent that is carried inside: symbols agent_image_start and agent_image_end, const
# unsigned char[]. In an archive, so that only a program that names them gets it.
$(O)/obj/$(1)/agent-image.o: $$(if $$($$($(1)_AGENT)_agent_objects_wanted),$$($$($(1)_AGENT)_agent))
	@mkdir -p $$(@D)
	$$(q)printf '%s\n' '.section .rodata.agent_image,"a",%progbits' '.balign 16' \
		'.global agent_image_start' 'agent_image_start:' \
		$$(if $$<,'.incbin "$$<"') \
		'.global agent_image_end' 'agent_image_end:' '.byte 0' \
		'.section .note.GNU-stack,"",%progbits' | gcc -x assembler -c -o $$@ -
$(O)/obj/$(1)/lib/libagent-image.a: $(O)/obj/$(1)/agent-image.o
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^

# All of the command but its main(), for the test of it.
$(O)/obj/$(1)/lib/libverbs.a: $$(filter-out %/main.o,$$($(1)_main_objects))
	@rm -f $$@
	@ar rcs $$@ $$^

$$($(1)_dir)/sidesnap-agent.debug: $$($(1)_agent_objects) $$($(1)_agent_archives)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(q)$$($(1)_CC) $$(BASE_LDFLAGS) $$($(1)_LDFLAGS) -o $$@ $$($(1)_agent_objects) \
		-Wl,--start-group $$($(1)_agent_archives) -Wl,--end-group $$(AGENT_LIBS) $$($(1)_LIBS)

$$($(1)_dir)/sidesnap.debug: $$($(1)_main_objects) $$($(1)_archives) $(O)/obj/$(1)/lib/libagent-image.a
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(q)$$($(1)_CC) $$(BASE_LDFLAGS) $$($(1)_LDFLAGS) -o $$@ $$($(1)_main_objects) \
		-Wl,--start-group $$($(1)_archives) $(O)/obj/$(1)/lib/libagent-image.a -Wl,--end-group \
		$$(LIBS) $$($(1)_LIBS)

# A sanitizer's reports need the symbols; what is shipped or embedded does without.
$$($(1)_dir)/sidesnap-agent $$($(1)_dir)/sidesnap: %: %.debug
	$$(q)$(if $(filter asan,$(1)),cp $$< $$@,strip -o $$@ $$<)

programs_$(1) := $$(if $$($(1)_agent_objects),$$($(1)_dir)/sidesnap-agent) \
	$$(if $$($(1)_main_objects),$$($(1)_dir)/sidesnap)
-include $$(wildcard $(O)/obj/$(1)/*/*/*.d $(O)/obj/$(1)/*/*/*/*.d)
endef

define archive_rule
$(O)/obj/$(1)/lib/lib$(2).a: $(patsubst %.c,$(O)/obj/$(1)/%.o,$(sort $(wildcard pkg/$(2)/*.c pkg/$(2)/*/*.c)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(q)ar rcs $$@ $$^

endef

# Known before the rules are made, since a rule's prerequisites are read at once.
# With some packages only there is no agent to carry.
$(foreach v,$(variants),$(eval $(v)_agent_objects_wanted := \
	$(if $(filter command,$(firstword $(origin PACKAGES))),,$(wildcard cmd/agent/*.c))))
$(foreach v,$(variants),$(eval $(v)_agent := $(O)$(if $(filter release,$(v)),,/$(v))/sidesnap-agent))
$(foreach v,$(variants),$(eval $(call variant_rules,$(v))))

# Compiling before tests uses all processors, asked for or not.
parallel = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

# ---- unit tests ---------------------------------------------------------------------------------

# unit: plain; asan: the same programs under the address and undefined sanitizers.
define unit_rules
$(O)/$(1)/test_command: $(O)/obj/$(1)/lib/libverbs.a
$(O)/$(1)/test_%: tests/unit/test_%.c $$(unit_helpers) $$($(1)_archives) \
		$(O)/obj/$(1)/lib/libagent-image.a Makefile
	$$(call say,CC/$(1),$$<)
	@mkdir -p $$(@D)
	$$(q)$$($(1)_CC) $$(BASE_CFLAGS) -Wall -Wextra $$(WERROR) $$($(1)_CFLAGS) -Itests/unit -MMD -MP \
		-MF $$@.d -MT $$@ $$(BASE_LDFLAGS) $$($(1)_LDFLAGS) -o $$@ $$< $$(unit_helpers) \
		-Wl,--start-group $$(filter %/libverbs.a,$$^) $$($(1)_archives) \
		$(O)/obj/$(1)/lib/libagent-image.a -Wl,--end-group -lcmocka $$(LIBS) $$($(1)_LIBS)
-include $$(wildcard $(O)/$(1)/*.d)
endef
$(foreach v,unit asan,$(eval $(call unit_rules,$(v))))

# ---- targets ------------------------------------------------------------------------------------

.PHONY: all install setup check unit asan test test-databases failpoints ubsan bench bench-all bench-docs demo \
	demo-clean image base-image clean help unit-programs asan-programs FORCE
FORCE:

all: $(release_archives) $(programs_release) $(O)/completion/.made ## build O/sidesnap and O/sidesnap-agent (static)
	@scripts/sizes $(programs_release)

# Manual pages and completion come from the program's own verb table.
$(O)/completion/.made: $(O)/sidesnap
	@mkdir -p $(O)/man $(O)/completion
	$(q)$< man --output $(O)/man
	$(q)$< completion bash >$(O)/completion/sidesnap.bash
	$(q)$< completion zsh >$(O)/completion/_sidesnap
	$(q)$< completion fish >$(O)/completion/sidesnap.fish
	@touch $@

failpoints: $(programs_failpoints) ## the same with failpoints, in O/failpoints
ubsan: $(programs_ubsan) ## the same, trapping on undefined behaviour, in O/ubsan

setup: ## install from Debian what build and tests need
	@scripts/setup

install: all ## install below DESTDIR PREFIX, also as a Docker CLI plugin
	@scripts/install '$(O)' '$(DESTDIR)' '$(PREFIX)'

check: $(O)/.deps-musl ## layers, headers, warnings, style, cppcheck, shellcheck
	@scripts/setup
	@scripts/check '$(O)'

# What the tests are linked with must be installed before the first is compiled.
unit: ## build and run the unit tests
	@scripts/setup
	+@$(parallel) unit-programs
	@scripts/run-units $(unit_tests:%=$(O)/unit/%)

asan: ## unit tests and programs under sanitizers, in O/asan and O/ubsan
	@scripts/setup
	+@$(parallel) asan-programs
	@scripts/run-units $(unit_tests:%=$(O)/asan/%)

unit-programs: $(unit_tests:%=$(O)/unit/%)
asan-programs: $(unit_tests:%=$(O)/asan/%) $(programs_asan) $(programs_ubsan)

test: ## everything: check, unit, asan, then the tests on an engine
	@scripts/setup
	+@$(parallel) all failpoints
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory asan
	@scripts/run-pytest '$(out)' $(PYTEST_ARGS)

test-databases: ## the databases that `make test` leaves out: their servers are fetched and built first
	@scripts/setup
	+@$(parallel) all failpoints
	@scripts/run-pytest '$(out)' -m database $(PYTEST_ARGS)

# BENCH_ARGS="--case reset --rounds 3": tests/bench/run --help
bench bench-all: all $(O)/bench_files
	@scripts/setup --bench
	@SIDESNAP_BUILD='$(out)' tests/bench/run $(if $(filter bench-all,$@),--all) --json '$(O)/bench.json' $(BENCH_ARGS)
	@tests/bench/report.py '$(O)/bench.json'

bench: ## the figures of the README, in a quarter of an hour, with table and plot in O/bench.*
bench-all: ## the same with a large database and a million files; BENCH_ARGS=--help

bench-docs: ## put the last results into docs and README.md
	@install -m 644 '$(O)/bench.json' docs/bench.json
	@tests/bench/report.py docs/bench.json README.md

$(O)/bench_files: tests/bench/bench_files.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(q)gcc -std=gnu11 -D_GNU_SOURCE -O2 $(WARNINGS) -o $@ $<

demo: ## a database lost and brought back, on this machine's engine
	@O='$(O)' scripts/demo

demo-clean: ## remove all that the demo made
	@O='$(O)' scripts/demo --clean

image: all ## pack the sidecar image IMAGE from what is built
	@scripts/image '$(O)' '$(IMAGE)' '$(VERSION)'

base-image: ## make debian:bookworm-slim resolvable on the engine
	@scripts/base-image

clean: ## remove O (the libraries' cache stays)
	rm -rf '$(O)'

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20
	@echo 'Variables: O=$(O) PREFIX=$(PREFIX) DESTDIR= IMAGE=$(IMAGE) V=1 WERROR= PACKAGES= TESTS= PYTEST_ARGS= BENCH_ARGS='
