# xlmr: build, demo, test. `make help` lists the words.

BUILD ?= build
CC ?= gcc
CXX ?= g++
PREFIX ?= /usr/local
VERSION := 0.1.0

# Words that need no libraries must not fail when pkg-config is missing; setup runs first where libraries are needed.
PKGS := openblas hdf5-serial sentencepiece jansson yaml-0.1 zlib
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wpedantic
ifdef DEV
WARN += -Werror -Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wdouble-promotion
CXXWARN := -Wall -Wextra -Werror -Wshadow
else
CXXWARN := -Wall -Wextra
endif
ifdef SAN
SANFLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined -g
endif
OPT ?= -O3
CFLAGS_ALL = -std=c11 $(OPT) -g $(WARN) -fopenmp -fPIC -fvisibility=hidden -ffp-contract=fast -fno-math-errno \
             -D_GNU_SOURCE -DXR_VERSION='"$(VERSION)"' -Isrc -Iinclude -I$(BUILD)/gen $(PKG_CFLAGS) $(SANFLAGS) $(CFLAGS)
CXXFLAGS_ALL = -std=c++17 $(OPT) -g $(CXXWARN) -fPIC -fvisibility=hidden -D_GNU_SOURCE -Isrc -Iinclude -I$(BUILD)/gen \
               $(PKG_CFLAGS) $(SANFLAGS) $(CXXFLAGS)
LDFLAGS_ALL = -fopenmp $(SANFLAGS) $(LDFLAGS)
LIBS = $(PKG_LIBS) -lstdc++ -lpthread -lm

# Sources are found by being there. src/cli is the program, everything else the library.
ISA_SRC := $(wildcard src/kernels/isa/*.c)
LIB_SRC := $(filter-out $(ISA_SRC),$(wildcard src/util/*.c src/kernels/*.c src/autograd/*.c src/autograd/ops/*.c src/model/*.c \
           src/model/heads/*.c src/data/*.c src/data/sources/*.c src/optim/*.c src/optim/rules/*.c src/optim/schedules/*.c src/train/*.c))
LIB_CXX := $(wildcard src/data/*.cc)
CLI_SRC := $(wildcard src/cli/*.c)

# Kernels of our own: the same source three times, chosen at run time (src/kernels/cpu.h).
ARCH := $(shell uname -m)
ISAS := portable
ifeq ($(ARCH),x86_64)
ISAS += avx2 avx512
endif
ISA_FLAGS_portable :=
ISA_FLAGS_avx2 := -mavx2 -mfma -mf16c
ISA_FLAGS_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512

LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(LIB_CXX:%.cc=$(BUILD)/%.o) \
           $(foreach i,$(ISAS),$(ISA_SRC:src/kernels/isa/%.c=$(BUILD)/src/kernels/isa/%.$(i).o))
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/%.o)

# Registries: a file in these folders is registered by existing. register(list, folder glob, symbol prefix)
GEN := $(BUILD)/gen/ops.inc $(BUILD)/gen/heads.inc $(BUILD)/gen/sources.inc $(BUILD)/gen/rules.inc $(BUILD)/gen/schedules.inc \
       $(BUILD)/gen/commands.inc
REG_ops := $(sort $(notdir $(basename $(wildcard src/autograd/ops/*.c))))
REG_heads := $(sort $(notdir $(basename $(wildcard src/model/heads/*.c))))
REG_sources := $(sort $(notdir $(basename $(wildcard src/data/sources/*.c))))
REG_rules := $(sort $(notdir $(basename $(wildcard src/optim/rules/*.c))))
REG_schedules := $(sort $(notdir $(basename $(wildcard src/optim/schedules/*.c))))
REG_commands := $(sort $(patsubst cmd_%,%,$(notdir $(basename $(wildcard src/cli/cmd_*.c)))))

.PHONY: all lib setup demo test lint bench golden install clean help FORCE
.DELETE_ON_ERROR:

all: $(BUILD)/xlmr $(BUILD)/libxlmr.a $(BUILD)/libxlmr.so

# XR_REG(name) lines; rewritten only when the list changes.
$(BUILD)/gen/%.inc: FORCE
	@mkdir -p $(@D)
	@printf 'XR_REG(%s)\n' $(REG_$*) | cmp -s - $@ || printf 'XR_REG(%s)\n' $(REG_$*) > $@

$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS_ALL) $(CXX) $(CXXFLAGS_ALL) $(LDFLAGS_ALL)' | cmp -s - $@ || echo '$(CC) $(CFLAGS_ALL) $(CXX) $(CXXFLAGS_ALL) $(LDFLAGS_ALL)' > $@

$(BUILD)/%.o: %.c $(GEN) $(BUILD)/flags | setup
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<
$(BUILD)/%.o: %.cc $(GEN) $(BUILD)/flags | setup
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS_ALL) -MMD -MP -c -o $@ $<
define isa_rule
$(BUILD)/src/kernels/isa/%.$(1).o: src/kernels/isa/%.c $(BUILD)/flags | setup
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS_ALL) $$(ISA_FLAGS_$(1)) -DXR_ISA=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

$(BUILD)/libxlmr.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $(LIB_OBJ)
$(BUILD)/libxlmr.so: $(LIB_OBJ)
	$(CC) -shared -Wl,-soname,libxlmr.so.0 -o $@ $(LIB_OBJ) $(LDFLAGS_ALL) $(LIBS)
$(BUILD)/xlmr: $(CLI_OBJ) $(BUILD)/libxlmr.a
	$(CC) -o $@ $(CLI_OBJ) $(BUILD)/libxlmr.a $(LDFLAGS_ALL) $(LIBS)

$(BUILD)/tests/%: tests/%.c $(BUILD)/libxlmr.a | setup
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -Itests -MMD -MP -o $@ $< $(wildcard tests/naive/*.c) $(BUILD)/libxlmr.a $(LDFLAGS_ALL) $(LIBS) -lcmocka
$(BUILD)/bench/%: bench/%.c $(BUILD)/libxlmr.a | setup
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -o $@ $< $(BUILD)/libxlmr.a $(LDFLAGS_ALL) $(LIBS)

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(wildcard $(BUILD)/tests/*.d $(BUILD)/bench/*.d $(BUILD)/examples/*.d)
