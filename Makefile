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

ARCH   := $(shell $(CC) -dumpmachine)
ifneq (,$(findstring x86_64,$(ARCH)))
KERN_avx2       = -mavx2 -mfma -mf16c
KERN_avx512     = -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c
KERN_avx512bf16 = $(KERN_avx512) -mavx512bf16
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
	$(Q)$(CC) $(ALL_CFLAGS) $(KERN_$*) -c -o $@ $<

$B/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BIN)/%: $B/cmd/%.o $B/libquern.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $B/libquern.a $(LIBS_ALL)

$B/tests/%: $B/tests/%.o $B/libquern.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $B/libquern.a $(LIBS_ALL)

-include $(LIB_OBJ:.o=.d) $(CMD_SRC:%.c=$B/%.d) $(UNIT_SRC:%.c=$B/%.d) $(FUZZ_SRC:%.c=$B/%.d) $(BENCH_SRC:%.c=$B/%.d)
.SECONDARY:

units: $(UNITS)

clean:
	rm -rf build bin demo

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

.PHONY: all units clean format
