# The Secure Access Fabric. `make help' lists the targets.
#
# One plain makefile. Objects go to $(O), so that several builds live side by side:
#	make                    build/          optimised
#	make SAN=1              build-asan/     AddressSanitizer and UndefinedBehaviorSanitizer
#	make FUZZ=1             build-fuzz/     clang, libFuzzer, both sanitizers
# What is missing (libraries, configure, config.mk) is made on the way.

SHELL = /bin/sh
.SUFFIXES:
.DELETE_ON_ERROR:

# Targets that need neither libraries nor a configuration.
BARE = help deps deps-bench clean distclean
ifneq ($(filter-out $(BARE),$(or $(MAKECMDGOALS),all)),)
-include config.mk
endif

ifdef FUZZ
O ?= build-fuzz
CC = $(CLANG)
VARIANT = -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
LDVARIANT = -fsanitize=address,undefined
else ifdef SAN
O ?= build-asan
VARIANT = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDVARIANT = -fsanitize=address,undefined
else
O ?= build
VARIANT = -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LDVARIANT = -pie -Wl,-z,relro,-z,now
endif

WARN = -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
	-Wno-unused-parameter
CPPFLAGS = -D_GNU_SOURCE -Icommon -I. -I$(O) $(LIB_CFLAGS) \
	-DFABRIC_VERSION='"$(VERSION)"' -DLIBEXECDIR='"$(libexecdir)/fabricd"' \
	-DSYSCONFDIR='"$(sysconfdir)/fabric"'
CFLAGS = -std=gnu11 $(WARN) $(VARIANT) -ffunction-sections -fdata-sections
LDFLAGS = $(LDVARIANT) -Wl,--gc-sections -Wl,--as-needed

# V=1 shows the whole commands.
ifndef V
Q = @
SAY = @printf '  %-5s %s\n'
else
SAY = @:
endif

include files.mk

WORKERS = dataplane routed vpnd svchostd telemd
PROGRAMS = $(O)/fabricd/fabricd $(O)/fabricctl/fabricctl $(WORKERS:%=$(O)/libexec/%)

all: $(PROGRAMS)

# --- configuration ---------------------------------------------------------

configure: configure.ac tools/deps.sh
	autoheader
	autoconf
	@touch $@

config.mk: configure config.mk.in
	./configure -q $(CONFIGURE_ARGS)
	@touch $@

# What is needed is looked for when there is no configure yet, or when that may be more now: `make' alone works on a bare machine.
configure: | deps-once
deps-once:
	@[ configure -nt tools/deps.sh ] || tools/deps.sh

deps:
	tools/deps.sh
deps-bench:
	tools/deps.sh peers

# --- objects ---------------------------------------------------------------

$(O)/%.o: %.c config.mk
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# A fuzz target's entry points are declared by nobody.
$(O)/tests/fuzz/%.o: WARN += -Wno-missing-prototypes

$(O)/%.o: $(O)/%.c config.mk
	$(SAY) CC $@
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-shadow -Wno-missing-prototypes -MMD -MP -c -o $@ $<

$(O)/%.c: %.y
	@mkdir -p $(@D)
	$(SAY) YACC $@
	$(Q)$(YACC) -o $@ $<

define library
$(O)/lib$(1).a: $(addprefix $(O)/,$(2))
	@rm -f $$@
	$$(SAY) AR $$@
	$$(Q)$(AR) rcs $$@ $$^
endef
$(eval $(call library,common,$(COMMON_OBJS)))
$(eval $(call library,keyfile,$(KEYFILE_OBJS)))
$(eval $(call library,fabricd,$(FABRICD_OBJS)))
$(eval $(call library,fabricctl,$(FABRICCTL_OBJS)))
$(eval $(call library,dataplane,$(DATAPLANE_OBJS)))
$(eval $(call library,routed,$(ROUTED_OBJS)))
$(eval $(call library,vpnd,$(VPND_OBJS)))
$(eval $(call library,svchostd,$(SVCHOSTD_OBJS)))
$(eval $(call library,telemd,$(TELEMD_OBJS)))

# The objects that know where the rest is installed are made again when that changes (make install prefix=...).
PATHS = $(libexecdir) $(sysconfdir)
$(O)/paths.stamp: FORCE
	@mkdir -p $(O)
	@echo '$(PATHS)' | cmp -s - $@ || echo '$(PATHS)' >$@
$(addprefix $(O)/,$(FABRICD_OBJS) $(FABRICCTL_OBJS) fabricd/main.o fabricctl/fabricctl.o): $(O)/paths.stamp

# --- programs: what each links is the list of what it can do ------------------

BASE_LIBS = $(EVENT_LIBS) $(SECCOMP_LIBS) $(CAP_LIBS) $(BSD_LIBS)

$(O)/fabricd/fabricd: $(O)/fabricd/main.o $(NOTLS) $(O)/libfabricd.a $(O)/libkeyfile.a $(O)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CRYPTO_LIBS) $(BASE_LIBS)

$(O)/fabricctl/fabricctl: $(O)/fabricctl/fabricctl.o $(NOTLS) $(O)/libfabricctl.a $(O)/libkeyfile.a $(O)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CRYPTO_LIBS) $(BASE_LIBS)

$(O)/libexec/dataplane: $(O)/fabricd/dataplane/main.o $(O)/libdataplane.a $(O)/libcommon.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(QUIC_LIBS) $(CRYPTO_LIBS) $(BASE_LIBS)

$(O)/libexec/routed: $(O)/routed/main.o $(NOTLS) $(O)/librouted.a $(O)/libcommon.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(SQLITE_LIBS) $(CRYPTO_LIBS) $(BASE_LIBS)

$(O)/libexec/vpnd: $(O)/vpnd/main.o $(NOTLS) $(O)/libvpnd.a $(O)/libcommon.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CRYPTO_LIBS) $(BASE_LIBS)

$(O)/libexec/svchostd: $(O)/svchostd/main.o $(NOTLS) $(O)/libsvchostd.a $(O)/libcommon.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CRYPTO_LIBS) $(BASE_LIBS)

$(O)/libexec/telemd: $(O)/telemd/main.o $(O)/libtelemd.a $(O)/libcommon.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(EVENT_EXTRA_LIBS) $(BASE_LIBS)

# --- tests -----------------------------------------------------------------
# A test program links the objects of the daemons themselves.

TEST_LIBS = $(addprefix $(O)/lib,$(addsuffix .a,fabricd fabricctl dataplane routed vpnd svchostd telemd keyfile common))
TEST_LINK = -Wl,--start-group $(TEST_LIBS) -Wl,--end-group $(QUIC_LIBS) $(CRYPTO_LIBS) $(SQLITE_LIBS) \
	$(EVENT_EXTRA_LIBS) $(BASE_LIBS)

$(O)/tests/unit/check_%: $(O)/tests/unit/check_%.o $(TEST_LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(TEST_LINK) $(CHECK_LIBS)

$(O)/tests/fuzz/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(TEST_LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(TEST_LINK)

$(O)/tests/net/%: $(O)/tests/net/%.o $(TEST_LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(TEST_LINK)

$(O)/tests/bench/%: $(O)/tests/bench/%.o $(TEST_LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(TEST_LINK)

$(O)/tests/sim/sim: $(addprefix $(O)/,$(SIM_OBJS)) $(O)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(BASE_LIBS)

comma = ,
# Signatures, seals and chance are the simulation's own: hours of routes have to pass in seconds.
$(O)/tests/sim/routes: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,sign_make sign_verify box_seal box_open crypto_random)
$(O)/tests/sim/routes: $(addprefix $(O)/,$(ROUTES_SIM_OBJS)) $(O)/librouted.a $(O)/libcommon.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CRYPTO_LIBS) $(SQLITE_LIBS) $(BASE_LIBS)

# The golden vectors as seeds for the fuzz targets of the same names.
$(O)/seeds/made: tests/fuzz/seeds.sh etc/policy.conf.example $(wildcard tests/unit/vectors/*.txt)
	$(SAY) SEEDS $(O)/seeds
	$(Q)tests/fuzz/seeds.sh $(O)/seeds
	@touch $@

UNIT_TESTS = $(addprefix $(O)/,$(UNIT))
FUZZ_TARGETS = $(addprefix $(O)/,$(FUZZERS))
NET_TOOLS = $(addprefix $(O)/,$(NETTOOLS))
BENCHES = $(addprefix $(O)/,$(BENCHMARKS))

unit-tests: $(UNIT_TESTS)
fuzz-targets: $(FUZZ_TARGETS) $(O)/seeds/made
net-tools: $(NET_TOOLS) $(PROGRAMS) $(addprefix $(O)/tests/bench/,link load serve)
benches: $(BENCHES) $(PROGRAMS)

sim-program: $(O)/tests/sim/sim $(O)/tests/sim/routes

sim: sim-program
	$(O)/tests/sim/sim -n $(or $(SEEDS),1000) -s $(or $(SEED),1)
	$(O)/tests/sim/routes -n $(or $(ROUTES_SEEDS),10) -s $(or $(SEED),1) -m 120

check: config.mk
	tests/run-check

fuzz: config.mk
	$(MAKE) FUZZ=1 O=build-fuzz fuzz-targets
	tests/fuzz/run build-fuzz $(or $(SECONDS_EACH),600)

lint:
	tests/lint

demo: all
	$(MAKE) net-tools
	KEEP= tests/demo
	tests/demo_routes

bench: all
	$(MAKE) benches net-tools
	tests/bench/run

# --- install ---------------------------------------------------------------

INSTALL = DESTDIR='$(DESTDIR)' prefix='$(prefix)' sbindir='$(sbindir)' libexecdir='$(libexecdir)' \
	sysconfdir='$(sysconfdir)' mandir='$(mandir)' O='$(O)' tools/install.sh

install: all
	$(INSTALL) install
uninstall: config.mk
	$(INSTALL) uninstall

clean:
	rm -rf build build-asan build-fuzz

distclean: clean
	rm -rf config.mk config.h config.h.in config.log config.status configure configure~ autom4te.cache

help:
	@echo 'make            build all (brings what is missing)'
	@echo 'make demo       nodes in network namespaces, real traffic, relays killed (root); KEEP=1 leaves the second part up'
	@echo 'make check      all tests (root)'
	@echo 'make bench      measure streams and the VPN against others (root)'
	@echo 'make sim        simulate streams, and routes for hours; SEEDS=1000, ROUTES_SEEDS=10, from SEED=1 on'
	@echo 'make fuzz       long fuzz run; SECONDS_EACH=600'
	@echo 'make deps       install the Debian packages and build wolfSSL and ngtcp2 into the cache'
	@echo 'make install    honours DESTDIR, prefix; creates the users when run as root without DESTDIR'
	@echo 'make uninstall  leaves what is the operator'"'"'s: keys, configuration, logs, users'
	@echo 'make clean      removes the builds; make distclean what configure made as well'
	@echo 'make SAN=1, make FUZZ=1: the sanitizer builds'

FORCE:
.PHONY: FORCE

.PHONY: all deps deps-bench deps-once sim sim-program unit-tests fuzz-targets net-tools benches check fuzz lint demo bench \
	install uninstall clean distclean help
# What is made on the way is kept; an object that is not there yet is made even if its library is newer, which .SECONDARY
# for all would leave out.
.PRECIOUS: $(O)/%.o $(O)/%.c

-include $(shell [ -d $(O) ] && find $(O) -name '*.d' 2>/dev/null)
