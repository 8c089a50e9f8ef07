# Object lists: a library a process, all but its main.c.
objs = $(patsubst %.c,%.o,$(wildcard $(1)/*.c))

COMMON_OBJS = $(call objs,common/base) $(call objs,common/wire) $(call objs,common/fabric) $(call objs,common/proc) \
	common/crypto/crypto.o common/crypto/identity.o common/crypto/aead.o common/crypto/noise.o \
	common/crypto/seal.o
KEYFILE_OBJS = common/crypto/keyfile.o common/crypto/armour.o
# A program that links this as well holds no TLS: see the file.
NOTLS = $(O)/common/crypto/notls.o
FABRICD_OBJS = $(filter-out fabricd/main.o,$(call objs,fabricd)) fabricd/parse.o
FABRICCTL_OBJS = $(filter-out fabricctl/fabricctl.o,$(call objs,fabricctl))
DATAPLANE_OBJS = $(filter-out fabricd/dataplane/main.o,$(call objs,fabricd/dataplane))
ROUTED_OBJS = $(filter-out routed/main.o,$(call objs,routed))
VPND_OBJS = $(filter-out vpnd/main.o,$(call objs,vpnd))
SVCHOSTD_OBJS = $(filter-out svchostd/main.o,$(call objs,svchostd))
TELEMD_OBJS = $(filter-out telemd/main.o,$(call objs,telemd))

UNIT = $(patsubst %.c,%,$(wildcard tests/unit/check_*.c))
FUZZERS = $(patsubst %.c,%,$(wildcard tests/fuzz/fuzz_*.c))
NETTOOLS = $(patsubst %.c,%,$(wildcard tests/net/*.c))
SIM_OBJS = $(call objs,tests/sim)
BENCHMARKS = $(patsubst %.c,%,$(wildcard tests/bench/*.c))
