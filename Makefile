# xlmr: build, demo, test. `make help` lists the words.

ifeq ($(origin CC),default)
CC := gcc
CXX := g++
endif
CLANG := $(findstring clang,$(notdir $(CC)))
ifneq ($(CLANG),)
CXX := $(subst clang,clang++,$(CC))
endif
comma := ,
# One short line a step; V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@echo '  $(1) $(2)')
BUILD ?= build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
PREFIX ?= /usr/local
PYTHON ?= python3
VERSION := 0.1.0

# The openmp flavour of OpenBLAS comes first, whatever flavour the system's alternatives point to.
PKGS := openblas hdf5-serial sentencepiece jansson yaml-0.1 zlib liblzma libzstd libxxhash
PKG_CONFIG := PKG_CONFIG_PATH=$(firstword $(wildcard /usr/lib/*/openblas-openmp/pkgconfig)):$$PKG_CONFIG_PATH pkg-config
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)
BLAS_DIR := $(shell $(PKG_CONFIG) --variable=libdir openblas 2>/dev/null)

WARN := -Wall -Wextra -Wpedantic
ifdef DEV
WARN += -Werror -Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wdouble-promotion
CXXWARN := -Wall -Wextra -Werror -Wshadow
else
CXXWARN := -Wall -Wextra
endif
ifdef SAN
# Clang's checks of C++ types (vptr, function) want type information that the system's sentencepiece does not carry.
SANFLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined $(if $(CLANG),-fno-sanitize=vptr$(comma)function)
OPT ?= -O2
endif
OPT ?= -O3
CFLAGS_ALL := -std=c11 $(OPT) -g $(WARN) -fopenmp -fPIC -fvisibility=hidden -ffp-contract=fast -fno-math-errno \
             -D_GNU_SOURCE -DXR_VERSION='"$(VERSION)"' -Isrc -Iinclude -I$(BUILD)/gen $(PKG_CFLAGS) $(SANFLAGS) $(CFLAGS)
CXXFLAGS_ALL := -std=c++17 $(OPT) -g $(CXXWARN) -fPIC -fvisibility=hidden -D_GNU_SOURCE -Isrc -Iinclude -I$(BUILD)/gen \
               $(PKG_CFLAGS) $(SANFLAGS) $(CXXFLAGS)
LDFLAGS_ALL := -fopenmp $(SANFLAGS) $(LDFLAGS)
# ThreadSanitizer has to see every access: plain loops stand in for OpenBLAS (make tsan).
ifneq ($(findstring thread,$(SAN)),)
PLAIN_BLAS := $(BUILD)/tests/plain_blas.o
PKG_LIBS := $(filter-out -lopenblas,$(PKG_LIBS))
endif
LIBS := $(PKG_LIBS) $(if $(BLAS_DIR),-Wl$(comma)-rpath$(comma)$(BLAS_DIR:/=)) -lstdc++ -lpthread -lm

# Sources are found by being there. src/cli is the program, everything else the library.
ISA_SRC := $(wildcard src/kernels/isa/*.c)
LIB_SRC := $(filter-out $(ISA_SRC),$(wildcard src/util/*.c src/kernels/*.c src/autograd/*.c src/autograd/ops/*.c src/model/*.c \
           src/model/heads/*.c src/data/*.c src/data/sources/*.c src/data/texts/*.c src/optim/*.c src/optim/rules/*.c src/optim/schedules/*.c src/train/*.c src/train/benchmarks/*.c))
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

LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(LIB_CXX:%.cc=$(BUILD)/%.o) $(PLAIN_BLAS) \
           $(foreach i,$(ISAS),$(ISA_SRC:src/kernels/isa/%.c=$(BUILD)/src/kernels/isa/%.$(i).o))
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/%.o)

# Registries: a file in these folders is registered by existing, as a line in the include of its list.
GEN := $(patsubst %,$(BUILD)/gen/%.inc,ops heads sources texts rules schedules benchmarks commands)
REG_ops := $(sort $(notdir $(basename $(wildcard src/autograd/ops/*.c))))
REG_heads := $(sort $(notdir $(basename $(wildcard src/model/heads/*.c))))
REG_sources := $(sort $(notdir $(basename $(wildcard src/data/sources/*.c))))
REG_texts := $(sort $(notdir $(basename $(wildcard src/data/texts/*.c))))
REG_rules := $(sort $(notdir $(basename $(wildcard src/optim/rules/*.c))))
REG_schedules := $(sort $(notdir $(basename $(wildcard src/optim/schedules/*.c))))
REG_benchmarks := $(sort $(notdir $(basename $(wildcard src/train/benchmarks/*.c))))
REG_commands := $(sort $(patsubst cmd_%,%,$(notdir $(basename $(wildcard src/cli/cmd_*.c)))))

# Tests: one program per tests/test_*.c, the command line by tests/*.bats, the examples by being run in tests/examples.bats.
TESTS := $(sort $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c)))
NAIVE_OBJ := $(patsubst %,$(BUILD)/%.o,$(basename $(wildcard tests/naive/*.c tests/naive/*.cc)))
EXAMPLES := $(sort $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c)))
FUZZERS := $(sort $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/*.c)))
SEEDS := $(FUZZERS:$(BUILD)/tests/fuzz/%=$(BUILD)/tests/seeds/%)
BENCHES := $(sort $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c)))
JOBS := $(shell nproc 2>/dev/null || echo 2)

.PHONY: all programs setup demo test check torture tsan valgrind fuzz fuzzers lint bench bench-peers bench-kernels golden parity install uninstall clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/xlmr $(BUILD)/libxlmr.a $(BUILD)/libxlmr.so

help:
	@echo 'make            build $(BUILD)/xlmr, libxlmr.a and libxlmr.so'
	@echo 'make demo       set up, build and run the whole way on data the project makes: tokenizer, training, table'
	@echo 'make test       set up, build and run all tests;  SAN=address,undefined for a run with sanitizers'
	@echo 'make setup      install the Debian packages that are missing (uses sudo when not root)'
	@echo 'make torture    every power loss, damaged checkpoint, kill and failing call, of which make test tries some; some hours'
	@echo 'make tsan       what runs in threads, under ThreadSanitizer with clang;  make valgrind: a short set under memcheck'
	@echo 'make fuzz       fuzz every reader of foreign files for SECONDS=60 each, with clang and sanitizers; FUZZ=warc only one'
	@echo 'make lint       include directions, borders of foreign libraries, shell scripts, the README map'
	@echo 'make bench      one table: rates, share of the peak, memory and phases of each work; PARTS="mlm classify" only those (bench/works.sh)'
	@echo 'make bench-peers  the same works in PyTorch, ONNX Runtime and CTranslate2 in turn with ours (PYTHON= one that has them; PARTS=)'
	@echo 'make bench-kernels  speed of each kernel, one line each'
	@echo 'make golden     make the reference values again (PYTHON= one with torch and transformers, REFERENCES= and SEQEVAL_0= see scripts/scorers.py, golden_tags.py)'
	@echo 'make parity     compare with transformers, side by side (PYTHON= as above)'
	@echo 'make install    PREFIX=$(PREFIX): program, library, header, pkg-config file, man pages, completion'
	@echo 'make uninstall  remove what make install put under PREFIX=$(PREFIX)'
	@echo 'make clean      remove $(BUILD)'
	@echo 'DEV=1           strict warnings as errors;  CC=clang builds with clang;  V=1 shows the commands'

setup:
	@scripts/setup.sh $(CLANG)

# XR_REG(name) lines; rewritten only when the list changes.
$(BUILD)/gen/%.inc: FORCE
	@mkdir -p $(@D)
	@printf 'XR_REG(%s)\n' $(REG_$*) | cmp -s - $@ || printf 'XR_REG(%s)\n' $(REG_$*) > $@

# Rewritten when compilers or flags change, so that everything is compiled again.
quote = '$(subst ','\'',$(1))'
COMPILERS := $(CC) $(CFLAGS_ALL) $(CXX) $(CXXFLAGS_ALL) $(LDFLAGS_ALL) $(LIBS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@$(PKG_CONFIG) --print-errors --exists $(PKGS) || { echo 'make: libraries are missing; make setup installs them' >&2; exit 1; }
	@echo $(call quote,$(COMPILERS)) | cmp -s - $@ || echo $(call quote,$(COMPILERS)) > $@

$(BUILD)/%.o: %.c $(BUILD)/flags | $(GEN)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(INCLUDE) -MMD -MP -c -o $@ $<
$(BUILD)/%.o: %.cc $(BUILD)/flags | $(GEN)
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(CXXFLAGS_ALL) $(INCLUDE) -MMD -MP -c -o $@ $<
define isa_rule
$(BUILD)/src/kernels/isa/%.$(1).o: src/kernels/isa/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(call say,CC,$$< [$(1)])
	$$(Q)$$(CC) $$(CFLAGS_ALL) $$(ISA_FLAGS_$(1)) -DXR_ISA=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

$(BUILD)/libxlmr.a: $(LIB_OBJ)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $(LIB_OBJ)
# Exports the names of include/xr.h and nothing else, not even the C++ library's own templates.
# nodelete: the threads of libgomp's pool outlive a dlclose, and must find the code that they run still there.
$(BUILD)/libxlmr.so: $(LIB_OBJ) src/libxlmr.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,libxlmr.so.0 -Wl,-z,nodelete -Wl,--version-script=src/libxlmr.map -o $@ $(LIB_OBJ) $(LDFLAGS_ALL) $(LIBS)
	@ln -sf libxlmr.so $@.0
$(BUILD)/xlmr: $(CLI_OBJ) $(BUILD)/libxlmr.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(CLI_OBJ) $(BUILD)/libxlmr.a $(LDFLAGS_ALL) $(LIBS)

$(BUILD)/tests/%.o: INCLUDE := -Itests
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(NAIVE_OBJ) $(BUILD)/libxlmr.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(LDFLAGS_ALL) $(LIBS) -lcmocka
# Loaded before a program by tests, to let its calls fail; without sanitizers, whose own come first.
FAULT := $(BUILD)/tests/fault.so
$(FAULT): tests/shim/fault.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -std=c11 -O2 -g $(WARN) -D_GNU_SOURCE -fPIC -shared -o $@ $<
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/libxlmr.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(LDFLAGS_ALL) $(LIBS)
# As a user of the library compiles: the public header and the shared library, none of our own flags.
$(BUILD)/examples/%: examples/%.c $(BUILD)/flags $(BUILD)/libxlmr.so
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(OPT) -g $(WARN) -Iinclude $(SANFLAGS) -MMD -MP -o $@ $< -L$(BUILD) -lxlmr -lm -Wl,-rpath,'$$ORIGIN/..'

-include $(wildcard $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(NAIVE_OBJ:.o=.d) $(TESTS:=.d) $(FUZZERS:=.d) $(BENCHES:=.d) $(EXAMPLES:=.d))

programs: all $(TESTS) $(FAULT) $(SEEDS) $(EXAMPLES) $(BENCHES)

test: setup
	@$(MAKE) --no-print-directory -j$(JOBS) programs
	@$(MAKE) --no-print-directory check

check:
	@SAN='$(SAN)' scripts/run_tests.sh $(BUILD) $(TESTS)

# Those whose allocations all fail in turn; make test lets some of them.
MEMORY := test_prepare test_predict test_evaluate test_finetune test_pretrain test_inspect test_report test_retrieval test_compare test_vocab test_grouping
# The parts run side by side, the longest first, each with its own output.
TORTURE := faults_memory.bats faults.bats torture.bats faults_kills.bats test_exactness kills.bats test_power_loss test_power_loss_model \
           test_power_loss_run test_power_loss_store test_checkpoint $(MEMORY)
torture: setup
	@$(MAKE) --no-print-directory -j$(JOBS) all $(FAULT) $(patsubst %,$(BUILD)/tests/%,$(filter test_%,$(TORTURE)))
	@$(MAKE) --no-print-directory -Otarget -j$(JOBS) $(TORTURE:%=torture-%)
torture-test_%:
	@XLMR_TORTURE=full OMP_WAIT_POLICY=passive CMOCKA_MESSAGE_OUTPUT=TAP $(BUILD)/tests/test_$*
torture-%.bats:
	@XLMR_TORTURE=full XLMR_BUILD=$(abspath $(BUILD)) bats tests/$*.bats

# Who watches what is read and written: lists of their own, outside make test. Tests that take processes apart or count memory are not in them.
THREADED := kernels packed int8 autograd optim ema params trainer loop pretrain finetune evaluate predict retrieval api phase tokenizer spm loader mlm_loader \
            golden_ops golden_model checkpoint
tsan: TSAN := $(patsubst %,build/san-thread/tests/test_%,$(THREADED))
tsan:
	@scripts/setup.sh clang
	@$(MAKE) --no-print-directory -j$(JOBS) CC=clang SAN=thread BUILD=build/san-thread $(TSAN) build/san-thread/tests/race
	@scripts/tsan.sh build/san-thread $(TSAN)

WATCHED := config yaml h5 util tokenizer_files checkpoint safetensors brief_run
MEMCHECK := valgrind -q --error-exitcode=66 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=30
valgrind: PROGRAMS := $(patsubst %,$(BUILD)/tests/test_%,$(WATCHED))
valgrind:
	@scripts/setup.sh valgrind
	@$(MAKE) --no-print-directory -j$(JOBS) all $(PROGRAMS)
	@WATCH='$(MEMCHECK)' XLMR_SLOWER=50 OMP_NUM_THREADS=2 XLMR_DATA=none SHELL_TESTS='' scripts/run_tests.sh $(BUILD) $(PROGRAMS)

demo: setup
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@scripts/demo.sh $(BUILD)/xlmr demo-out

# The fuzz targets without libFuzzer (tests/fuzz.bats).
$(BUILD)/tests/seeds/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz_seeds.o $(BUILD)/libxlmr.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS_ALL) $(LIBS)

# A build of its own, where the compiler counts branches for libFuzzer. The seeds are written by the fuzzers themselves.
SECONDS ?= 60
FUZZ ?= $(notdir $(FUZZERS))
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/libxlmr.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(LDFLAGS_ALL) -fsanitize=fuzzer $(LIBS)
fuzzers: $(FUZZERS)
fuzz:
	@scripts/setup.sh clang
	@$(MAKE) --no-print-directory -j$(JOBS) CC=clang SAN=address,undefined,fuzzer-no-link BUILD=build/fuzz fuzzers
	@for f in $(FUZZ); do \
	    mkdir -p build/fuzz/corpus/$$f && echo "fuzz: $$f, $(SECONDS) s" && \
	    LSAN_OPTIONS="suppressions=$$PWD/tests/lsan.supp:print_suppressions=0" build/fuzz/tests/fuzz/$$f -max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 -verbosity=0 \
	        -artifact_prefix=build/fuzz/$$f- build/fuzz/corpus/$$f || exit 1; done

lint: setup
	@scripts/lint.sh

bench: setup
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BUILD)/bench/peak
	@BUILD=$(BUILD) bench/works.sh $(PARTS)

bench-peers: setup
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BUILD)/bench/peak
	@BUILD=$(BUILD) $(PYTHON) bench/peers.py $(PARTS)

bench-kernels: setup
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BENCHES)
	@for b in $(BENCHES); do env -u OPENBLAS_CORETYPE $$b || exit 1; done

golden: all $(BUILD)/tests/test_grouping
	$(PYTHON) scripts/golden.py --output tests/golden
	$(PYTHON) scripts/golden_metrics.py > tests/golden/metrics.h
	test -z "$(SEQEVAL_0)" || $(PYTHON) scripts/golden_tags.py $(SEQEVAL_0) > tests/golden/tags.h
	$(PYTHON) scripts/golden_grouping.py "$$($(BUILD)/tests/test_grouping model)" > tests/golden/grouping.h
	test -z "$(REFERENCES)" || $(PYTHON) scripts/golden_qa_metrics.py $(REFERENCES) > tests/golden/qa_metrics.h
	$(PYTHON) scripts/golden_optim.py > tests/golden/optim.h
	$(PYTHON) scripts/golden_masking.py > tests/golden/masking.h
	$(PYTHON) scripts/golden_sampling.py > tests/golden/sampling.h
	$(PYTHON) scripts/golden_blocks.py > tests/golden/blocks.h
	$(PYTHON) scripts/golden_resample.py > tests/golden/resample.h

parity: all
	$(PYTHON) scripts/parity.py --xlmr $(BUILD)/xlmr --make mini --std 0.02

install: all
	scripts/install.sh $(BUILD) '$(DESTDIR)$(PREFIX)' '$(PREFIX)' $(VERSION)

uninstall:
	scripts/uninstall.sh '$(DESTDIR)$(PREFIX)'

clean:
	rm -rf $(call quote,$(BUILD))
