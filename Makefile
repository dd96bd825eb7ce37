# quern: one Makefile, not recursive. Sources are found by place: cmd/X.c is the program bin/X,
# every lib/*/*.c goes into the library, tests/unit/X.c is a test program, tests/fuzz/X.c a fuzz target.
# Variables to set: CC CFLAGS LDFLAGS PREFIX DESTDIR B (build folder) SAN (sanitizers).

CC      = cc
PREFIX  = /usr/local
B       = build
BIN     = bin
CFLAGS  = -O2 -g
WARN    = -Wall -Wextra -Wpedantic -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
          -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wno-format-nonliteral -Wno-missing-field-initializers -Werror
STD     = -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -D_FILE_OFFSET_BITS=64
# No contraction: an FMA is used where the source asks for one, so that bits do not hang on the compiler.
ALL_CFLAGS = $(STD) $(WARN) -ffp-contract=off -fno-math-errno -fopenmp -Ilib -MMD -MP $(SAN) $(CFLAGS)
LIBS    = -lpcre2-8 -lutf8proc -lxxhash -lz -lpthread -lm
LIBS_ALL = $(LDFLAGS) $(SAN) -fopenmp $(LIBS)

ARCH   := $(shell $(CC) -dumpmachine 2>/dev/null)
# Kernels are vectorised by the compiler where they are plain C; comparisons there may be made ahead of their branch.
KERN_OPT = -O3 -fno-trapping-math
ifneq (,$(findstring x86_64,$(ARCH)))
KERN_avx2       = -mavx2 -mfma -mf16c
KERN_avx512     = -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512 $(KERN_avx2)
KERN_avx512vnni = $(KERN_avx512) -mavx512vnni
KERN_avx512bf16 = $(KERN_avx512vnni) -mavx512bf16
KERN_amx        = $(KERN_avx512bf16) -mamx-tile -mamx-bf16 -mamx-int8
endif

LIB_SRC  = $(sort $(wildcard lib/*/*.c))
CMD_SRC  = $(sort $(wildcard cmd/*.c))
UNIT_SRC = $(sort $(wildcard tests/unit/*.c))
FUZZ_SRC = $(sort $(wildcard tests/fuzz/*.c))
BENCH_SRC = $(sort $(wildcard tests/bench/*.c))
LIB_OBJ  = $(LIB_SRC:%.c=$B/%.o)
PROGS    = $(CMD_SRC:cmd/%.c=$(BIN)/%)
UNITS    = $(UNIT_SRC:tests/unit/%.c=$B/tests/unit/%)
FUZZERS  = $(FUZZ_SRC:tests/fuzz/%.c=$B/tests/fuzz/%)
BENCHES  = $(BENCH_SRC:tests/bench/%.c=$B/tests/bench/%)
TEST_ENV = BIN=$(abspath $(BIN)) B=$(abspath $B)

# Quiet by default; `make V=1` shows the commands.
ifeq ($(V),)
Q = @
say = @printf '  %-4s %s\n' $(1) $(2)
endif

all: $(PROGS) $B/libquern.a

$B/libquern.a: $(LIB_OBJ)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $(LIB_OBJ)

# Kernel sources carry the name of their instruction set: lib/tensor/kern_ISA.c gets that set's flags.
$B/lib/tensor/kern_%.o: lib/tensor/kern_%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(KERN_OPT) $(KERN_$*) -c -o $@ $<

$B/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BIN)/%: $B/cmd/%.o $B/libquern.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $B/libquern.a $(LIBS_ALL)

# These run the kernels of AMX, on the emulator where the processor has none. It is vectorised, and runs on
# processors with AVX-512 only, as these kernels do.
AMX_TESTS = $(addprefix $B/tests/unit/,test_amx_emu test_kern test_gemm test_flash test_qgemm)
$(AMX_TESTS): $B/tests/amx_emu.o
$(AMX_TESTS): TEST_OBJ = $B/tests/amx_emu.o
$(AMX_TESTS:%=%.o): ALL_CFLAGS += -Itests
$B/tests/amx_emu.o: ALL_CFLAGS += -O3 $(KERN_avx2)

$B/tests/unit/%: $B/tests/unit/%.o $B/libquern.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(TEST_OBJ) $B/libquern.a $(LIBS_ALL)

$B/tests/bench/%: $B/tests/bench/%.o $B/libquern.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $B/libquern.a $(LIBS_ALL)

-include $B/tests/amx_emu.d $(LIB_OBJ:.o=.d) $(CMD_SRC:%.c=$B/%.d) $(UNIT_SRC:%.c=$B/%.d) $(FUZZ_SRC:%.c=$B/%.d) $(BENCH_SRC:%.c=$B/%.d)
.SECONDARY:

# --- tests ----------------------------------------------------------------------------------------------------------

FUZZ_RUNS    = 3000
FUZZ_SECONDS = 60
CLI_TESTS    = $(sort $(wildcard tests/cli/*.t))

$B/tests/fuzz/%: $B/tests/fuzz/%.o $B/tests/fuzz_driver.o $B/libquern.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $B/tests/fuzz_driver.o $B/libquern.a $(LIBS_ALL)

# Every fuzz target becomes a test that replays its corpus and damaged copies of it.
$B/tests/fuzz/%.t: $B/tests/fuzz/%
	@printf '#!/bin/sh\nexec %s -r $(FUZZ_RUNS) -t 10s $(CURDIR)/tests/fuzz/corpus/%s\n' \
		'$(abspath $<)' '$(*:fuzz_%=%)' >$@; chmod +x $@

units: $(UNITS)

# Threads that wait sleep: on a busy machine, spinning ones make small tests forty times slower. Benchmarks are built, so
# that they go on compiling.
check: all $(UNITS) $(FUZZERS:%=%.t) $(BENCHES)
	@$(TEST_ENV) OMP_WAIT_POLICY=passive scripts/check $(UNITS) $(FUZZERS:%=%.t) $(CLI_TESTS)

# The same tests under AddressSanitizer and UndefinedBehaviorSanitizer, in a build folder of its own. OpenMP's own
# threads confuse leak detection at exit, so leaks are looked for by the unit tests alone.
asan:
	@$(MAKE) B=build/asan BIN=build/asan/bin SAN="-fsanitize=address,undefined -fno-sanitize-recover=all" \
		CFLAGS="-O1 -g" check

# Longer campaigns: libFuzzer where clang has it, else the driver for FUZZ_SECONDS a target.
fuzz:
	@CC=$(CC) scripts/fuzz $(FUZZ_SECONDS) $(FUZZ_SRC)

# ROWS: some of its rows; scripts/bench says which there are.
bench: all $(BENCHES)
	@$(TEST_ENV) scripts/bench $(ROWS)

# --- the rest -------------------------------------------------------------------------------------------------------

demo: deps
	@$(MAKE) --no-print-directory all
	@PATH="$(abspath $(BIN)):$$PATH" scripts/demo $(CORPUS)

deps:
	@scripts/deps

COMMANDS = $(CMD_SRC:cmd/%.c=%)
MAN      = $(sort $(wildcard man/*.[1-9]))
libexec  = $(DESTDIR)$(PREFIX)/libexec/quern
bindir   = $(DESTDIR)$(PREFIX)/bin
share    = $(DESTDIR)$(PREFIX)/share
mandir   = $(share)/man
libdir   = $(DESTDIR)$(PREFIX)/lib
incdir   = $(DESTDIR)$(PREFIX)/include/quern
LAYERS   = $(notdir $(wildcard lib/*))

# eval is a shell builtin and convert is ImageMagick's: bin/ gets quern-NAME, libexec/quern/ the plain names.
install: all
	install -d "$(libexec)" "$(bindir)" "$(libdir)" "$(mandir)/man1" "$(mandir)/man5" "$(mandir)/man7" \
		"$(share)/bash-completion/completions" "$(share)/zsh/site-functions"
	install -m 755 $(PROGS) "$(libexec)"
	for c in $(COMMANDS); do ln -sf ../libexec/quern/$$c "$(bindir)/quern-$$c" || exit; done
	install -m 644 $B/libquern.a "$(libdir)"
	for d in $(LAYERS); do \
		install -d "$(incdir)/$$d" && install -m 644 lib/$$d/*.h "$(incdir)/$$d" || exit; done
	for m in $(MAN); do \
		s=$${m##*.}; n=$$(basename $$m); \
		case $$s:$$n in 1:*) n=quern-$$n;; 5:quern-*|7:quern*) ;; 5:*) n=quern-$$n;; esac; \
		install -m 644 $$m "$(mandir)/man$$s/$$n" || exit; done
	scripts/completions bash $(PROGS) >"$(share)/bash-completion/completions/quern"
	for c in $(COMMANDS); do ln -sf quern "$(share)/bash-completion/completions/quern-$$c" || exit; done
	scripts/completions zsh $(PROGS) >"$(share)/zsh/site-functions/_quern"

clean:
	rm -rf build bin demo

# Tables that a script made stay as it made them.
format:
	clang-format -i $$(git ls-files '*.c' '*.h' ':!*_vectors.h')

.PHONY: all units check asan fuzz bench demo deps install clean format
