#!/bin/bash
#
# deps.sh - bring in what the fabric is built with and tested against.
#
#   tools/deps.sh [all]    apt, then libs
#   tools/deps.sh apt      install the Debian packages that lack (root)
#   tools/deps.sh libs     build wolfSSL and ngtcp2 into the cache; last line: their prefix
#   tools/deps.sh prefix   print that prefix without building; exit 1 if it is not built
#   tools/deps.sh peers    unpack wireguard-go, wg, nebula, openvpn and nghttpx into the
#                          cache, for comparisons; last line: a directory with them in bin/
#
# The answer is the only thing on stdout; everything else goes to stderr. Use the libraries by
# PKG_CONFIG_PATH=<prefix>/lib/pkgconfig and the name libngtcp2_crypto_wolfssl, which brings
# libngtcp2 and wolfssl with it.
#
# Debian 12 has wolfSSL without QUIC and an ngtcp2 from before 1.0, and no Debian binary of
# wolfSSL uses AES-NI (25 times slower). So the upstream tarballs are taken from newer suites of the
# Debian archive. This is done in an apt state of its own, in a temporary directory: the
# machine's own sources are read and its lists and pins left alone. The mirror and the keyring
# are the ones the machine is configured with.
#
# Environment: FABRIC_CACHE (default: $XDG_CACHE_HOME/fabric or ~/.cache/fabric), TMPDIR.

set -euo pipefail
umask 022
export LC_ALL=C
exec 3>&1 1>&2

# What is pinned. The sums are those of the tarballs as apt verified them. When a suite has
# moved on, deps.sh takes the version it finds and says so.
readonly WOLFSSL_VERSION=5.9.2
readonly WOLFSSL_SHA256=2f4ef3d4fd387a9b3191d36a6316d69116c46ff69bb9583b6c82b36d7b8ca114
readonly WOLFSSL_SUITES='sid forky'
readonly WOLFSSL_LAST_RESORT=trixie	# 5.7.2: lacks fixes that matter to QUIC
readonly NGTCP2_VERSION=1.24.0
readonly NGTCP2_SHA256=7fa5ec2be0f0cbed8bc4ec89c0787dfa9d8ce678f1ed9477c52f30eb1a591207
readonly NGTCP2_SUITES='forky sid'

CACHE=$(realpath -ms "${FABRIC_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/fabric}")
readonly CACHE
readonly COMPILER=gcc	# always the same, so that "make CC=clang" finds the same prefix
readonly CFLAGS_LIBS='-O3 -fPIC'
# ngtcp2 >= 1.22 calls wolfSSL_EVP_aes_*_ecb; our packet protection calls AES directly.
readonly WOLFSSL_CPPFLAGS='-DHAVE_AES_ECB -DWOLFSSL_AES_DIRECT'
readonly COMMON_FLAGS='--disable-shared --enable-static --disable-dependency-tracking'
readonly NGTCP2_FLAGS='--enable-lib-only --with-wolfssl'

say() { echo "deps.sh: $*" >&2; }
die() { say "$*"; exit 1; }
answer() { echo "$*" >&3; }

# ---------------------------------------------------------------- Debian packages

debian_packages() {
	# the build; autoconf and friends are for wolfSSL too, whose tarball has no configure script
	echo gcc libc6-dev make autoconf automake libtool pkg-config bison xz-utils
	echo libevent-dev libcap-dev libseccomp-dev libbsd-dev libsqlite3-dev
	# fuzzers
	echo clang "$(clang_runtime_package)"
	# the tests: real clients in network namespaces; the whole python3, for its http and sqlite3
	echo check mandoc shellcheck python3 iproute2 nftables iputils-ping iperf3 curl procps openssl
	# users of services: an SSH server, and a database with pgbench (in postgresql itself; once in -contrib)
	echo openssh-client openssh-server rsync postgresql
}

clang_runtime_package() {
	if [ "$(os_release VERSION_ID)" = 12 ]; then
		echo libclang-rt-14-dev
	else
		echo libclang-rt-dev
	fi
}

os_release() {
	sed -n "s/^$1=\"\\{0,1\\}\\([^\"]*\\)\"\\{0,1\\}\$/\\1/p" /etc/os-release
}

missing_packages() {
	local p
	for p in $(debian_packages); do
		case $(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null) in
		?i*) ;;
		*) echo "$p" ;;
		esac
	done
}

cmd_apt() {
	local missing
	mapfile -t missing < <(missing_packages)
	if [ ${#missing[@]} -eq 0 ]; then
		return
	fi
	say "not installed: ${missing[*]}"
	if [ "$(id -u)" -ne 0 ]; then
		die "installing needs root; as root: apt-get install --no-install-recommends ${missing[*]}"
	fi
	# Lists that are missing or old are the usual reason for a first failure.
	apt_install "${missing[@]}" || {
		say "apt-get install failed; refreshing the package lists and trying once more"
		apt_update_own
		apt_install "${missing[@]}" || die "apt-get could not install: ${missing[*]}"
	}
}

# No service that comes with a package is started: the tests start their own, in namespaces of their own.
apt_install() {
	local status=0
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		POLICY=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' > "$POLICY"
		chmod 755 "$POLICY"
	fi
	apt_get_install "$@" || status=$?
	policy_remove
	return $status
}

# Also when it is interrupted: left behind, it would keep every service of the machine from starting.
policy_remove() {
	[ -z "${POLICY:-}" ] || rm -f "$POLICY"
	POLICY=
}

apt_get_install() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
	    -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"
}

# The lists' lock is not covered by DPkg::Lock::Timeout.
apt_update_own() {
	local try log
	for try in $(seq 60); do
		log=$(apt-get -q update 2>&1) && return
		case $log in
		*'Could not get lock'*)
			[ "$try" -gt 1 ] || say "waiting for another apt-get update to end"
			sleep 5 ;;
		*)	break ;;
		esac
	done
	echo "$log"
	die "apt-get update failed"
}

# ---------------------------------------------------------------- a private apt state

STATE=	# temporary directory; one apt state for each kind and suite below it

state_open() {
	[ -z "$STATE" ] || return 0
	command -v apt-get > /dev/null || die "no apt-get here: this script knows Debian only"
	STATE=$(mktemp -d "${TMPDIR:-/tmp}/fabric-deps.XXXXXX")
	# apt fetches as _apt when it is run by root; let it through to its directories.
	chmod 711 "$STATE"
}

cleanup() {
	policy_remove
	[ -z "$STATE" ] || rm -rf "$STATE"
	[ -z "${WORK:-}" ] || rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The base URIs of the configured archives that have a suite's "main" and are no add-on
# (updates, security, backports), best guess first. One that is not Debian's own fails the
# signature check later. This needs no downloaded lists.
mirrors() {
	# shellcheck disable=SC2016  # $(SITE) is apt's, not the shell's
	apt-get indextargets --no-release-info --format '$(SITE) $(RELEASE) $(COMPONENT)' \
	    'Created-By: Packages' 2>/dev/null |
	awk -v own="$(os_release VERSION_CODENAME)" '
	    $3 == "main" && $2 !~ /[-\/]/ && !seen[$1]++ {
		if ($2 == own) print $1; else rest[++n] = $1
	    }
	    END { for (i = 1; i <= n; i++) print rest[i] }'
}

# The keyring the machine's sources name for this URI, or the archive's own.
keyring_for() {
	local uri=$1 dir file found
	eval "$(apt-config shell dir Dir::Etc::sourceparts/d file Dir::Etc::sourcelist/f)"
	found=$(cat "${dir%/}"/*.sources 2>/dev/null | awk -v RS= -v uri="$uri" '
	    # fields of a paragraph that has the URI; a trailing slash makes no difference
	    { n = split($0, line, "\n"); key = ""; hit = 0
	      for (i = 1; i <= n; i++) {
		if (line[i] ~ /^#/) continue
		if (line[i] ~ /^[Uu][Rr][Ii][Ss]:/) {
		    m = split(line[i], word, /[ \t]+/)
		    for (j = 2; j <= m; j++) { sub(/\/$/, "", word[j]); if (word[j] == uri) hit = 1 }
		}
		if (line[i] ~ /^[Ss]igned-[Bb]y:[ \t]*\//) { key = line[i]; sub(/^[^\/]*/, "", key) }
	      }
	      if (hit && key != "") { print key; exit } }')
	if [ -z "$found" ]; then
		found=$(cat "$file" "${dir%/}"/*.list 2>/dev/null | grep -v '^[[:space:]]*#' |
		    grep -F "$uri" | sed -n 's/.*signed-by=\(\/[^] ]*\).*/\1/p' | head -n 1) || true
	fi
	for found in "$found" /usr/share/keyrings/debian-archive-keyring.gpg \
	    /usr/share/keyrings/debian-archive-keyring.pgp; do
		if [ -e "$found" ]; then
			echo "$found"
			return
		fi
	done
}

# apt_in KIND SUITE command...: an apt tool on the private state of that suite. The machine's
# pins and default release are about its own suites and would hide this one. Locks are for
# the system's directories, which are not written.
apt_in() {
	local s=$STATE/$1-$2 tool=$3
	shift 3
	"$tool" -q -o Dir::Etc::sourcelist="$s/sources.list" -o Dir::Etc::sourceparts=/dev/null \
	    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
	    -o APT::Default-Release= \
	    -o Dir::State::lists="$s/lists" -o Dir::Cache="$s/cache" \
	    -o Dir::Cache::archives="$s/archives" -o Debug::NoLocking=1 \
	    -o Acquire::Languages=none -o Acquire::Retries=3 \
	    -o APT::Update::Error-Mode=any "$@"
}

# suite_open KIND SUITE: have the verified index of a suite. KIND is deb or deb-src. One state
# for each suite, so that whatever apt finds in it is that suite's.
suite_open() {
	local s=$STATE/$1-$2
	if [ -z "$STATE" ] || [ ! -d "$s" ]; then
		suite_fetch "$1" "$2"
		s=$STATE/$1-$2
	fi
	[ -e "$s/ok" ]
}

# The same, or one that is signed but past its date, as a frozen mirror's is. That will do for a
# tarball whose SHA-256 is pinned, and for nothing else.
suite_open_pinned() {
	suite_open "$1" "$2" || [ -e "$STATE/$1-$2/stale" ]
}

suite_fetch() {
	local kind=$1 suite=$2 s uri log
	state_open
	s=$STATE/$kind-$suite
	mkdir -p "$s/lists/partial" "$s/archives/partial" "$s/cache"
	for uri in $(mirrors); do
		if log=$(suite_update "$kind" "$suite" "$uri"); then
			: > "$s/ok"
			return
		fi
		say "suite $suite: no verified index from $uri:"
		echo "$log" | grep '^[EW]:' | sort -u || true
		case $kind:$log in
		deb-src:*' is expired '*)
			if suite_update "$kind" "$suite" "$uri" check-valid-until=no > /dev/null; then
				say "suite $suite: its index is signed but expired; used for pinned sources only"
				: > "$s/stale"
				return
			fi ;;
		esac
	done
	[ -e "$s/sources.list" ] ||
		say "suite $suite: the machine's apt configuration names no Debian archive (component main)"
}

# suite_update KIND SUITE URI [source option]
suite_update() {
	local target=Packages key
	[ "$1" = deb ] || target=Sources
	key=$(keyring_for "$3")
	echo "$1 [target=$target${4:+ $4}${key:+ signed-by=$key}] $3 $2 main" \
	    > "$STATE/$1-$2/sources.list"
	apt_in "$1" "$2" apt-get update 2>&1
}

# ---------------------------------------------------------------- sources

# The newest version of a source package in a suite, or one of upstream version $3 if given
source_version() {
	local re='.'
	[ -z "${3:-}" ] || re="^([0-9]+:)?${3//./\\.}(-[^-]*)?\$"
	apt_in deb-src "$2" apt-cache showsrc --only-source "$1" 2>/dev/null |
	    sed -n 's/^Version: //p' | grep -E "$re" | sort -V | tail -n 1 || true
}

upstream_of() { echo "$1" | sed 's/^[0-9]*://; s/-[^-]*$//'; }

sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# source_get NAME VERSION SHA256 LAST_RESORT SUITE...
# Sets SRC_FILE, SRC_VERSION and SRC_NOTE (empty when it is what is pinned).
source_get() {
	local name=$1 version=$2 sha=$3 last=$4 suite
	shift 4
	SRC_VERSION=$version SRC_NOTE=
	if source_cached "$name" "$version" "$sha"; then
		return
	fi
	say "fetching the sources of $name $version"
	for suite; do
		suite_open_pinned deb-src "$suite" || continue
		if [ -n "$(source_version "$name" "$suite" "$version")" ]; then
			source_download "$name" "$suite" "$version"
			source_check_pin "$name" "$version" "$sha"
			return
		fi
		say "$name $version is not in $suite"
	done
	source_get_other "$name" "$version" "$last" "$@"
}

source_cached() {
	local file
	for file in "$CACHE/src/$1_$2.orig.tar".*; do
		if [ -f "$file" ] && [ "$(sha256_of "$file")" = "$3" ]; then
			SRC_FILE=$file
			return
		fi
	done
	return 1
}

source_download() {
	local name=$1 suite=$2 version full file dl=$STATE/dl
	full=$(source_version "$name" "$suite" "${3:-}")
	version=$(upstream_of "$full")
	rm -rf "$dl"
	mkdir -p "$dl" "$CACHE/src"
	# apt drops root for the transfer when it may write here as _apt
	[ "$(id -u)" -ne 0 ] || chown _apt "$dl" 2>/dev/null || true
	(cd "$dl" && apt_in deb-src "$suite" apt-get source --download-only --tar-only \
	    "$name=$full" > "$STATE/log" 2>&1) || {
		cat "$STATE/log"
		die "$name $full from $suite: the download failed or apt refused it"
	}
	for file in "$dl/${name}_$version.orig.tar".*; do
		case $file in *.asc) continue ;; esac
		[ -f "$file" ] || die "$name $full from $suite: apt-get source left no upstream tarball"
		SRC_FILE=$CACHE/src/${file##*/}
		cp "$file" "$SRC_FILE.$$" && mv -f "$SRC_FILE.$$" "$SRC_FILE"
		break
	done
	SRC_VERSION=$version
	say "$name $full from $suite, verified by apt"
}

# A tarball that apt accepts and the pin does not is never used: same version, other content.
source_check_pin() {
	local got
	got=$(sha256_of "$SRC_FILE")
	if [ "$got" != "$3" ]; then
		rm -f "$SRC_FILE"
		die "$1 $2: SHA-256 is $got, pinned in this script is $3; refused (apt accepted it:" \
		    "the archive has another tarball of the same version)"
	fi
}

source_get_other() {
	local name=$1 version=$2 last=$3 suite
	shift 3
	for suite in "$@" $last; do
		suite_open deb-src "$suite" || continue
		[ -n "$(source_version "$name" "$suite")" ] || continue
		source_download "$name" "$suite"
		SRC_NOTE="$name $SRC_VERSION from $suite in place of $version: verified by apt, no pinned SHA-256"
		[ "$suite" != "$last" ] || SRC_NOTE="$SRC_NOTE; last resort, lacks fixes"
		say "FALLBACK: $SRC_NOTE"
		return
	done
	die "$name: no sources to be had from any of: $* $last (see the messages above)"
}

# ---------------------------------------------------------------- the libraries

wolfssl_flags() {
	echo --enable-quic --enable-keying-material --enable-session-ticket --enable-ed25519
	echo --enable-curve25519 --enable-sp --enable-harden --enable-mlkem --enable-hkdf
	echo --enable-certgen --disable-oldtls --disable-tlsv12
	echo --disable-examples --disable-crypttests
	case $(uname -m) in
	x86_64) echo --enable-intelasm --enable-sp-asm ;;
	aarch64) echo --enable-armasm --enable-sp-asm ;;
	esac	# elsewhere plain C
}

# The directory's name says what is in it; its hash covers all that changes the result.
libs_key() {
	local compiler machine sum
	command -v $COMPILER > /dev/null || die "$COMPILER is not installed; run: tools/deps.sh apt"
	compiler=$($COMPILER -dumpfullversion -dumpversion)
	machine=$($COMPILER -dumpmachine)
	sum=$(echo "$WOLFSSL_SHA256 $NGTCP2_SHA256 $CFLAGS_LIBS $WOLFSSL_CPPFLAGS $COMMON_FLAGS" \
	    "$(wolfssl_flags)" "$NGTCP2_FLAGS $compiler $machine recipe-1" | sha256sum | cut -c 1-12)
	echo "wolfssl-$WOLFSSL_VERSION-ngtcp2-$NGTCP2_VERSION-$machine-$sum"
}

# Sets PREFIX to libraries that are built: what is pinned, or else a fallback, of which whoever
# uses it is told each time. A prefix appears by rename, so one that is there is whole.
libs_find() {
	for PREFIX in "$CACHE/$1" "$CACHE/$1-fallback"; do
		[ -f "$PREFIX/VERSIONS" ] || continue
		sed -n 's/^note: /deps.sh: NOTE: these libraries are a fallback: /p' "$PREFIX/VERSIONS"
		return
	done
	return 1
}

cmd_prefix() {
	local key
	key=$(libs_key)
	libs_find "$key" || die "the libraries are not built; run: tools/deps.sh libs"
	answer "$PREFIX"
}

cmd_libs() {
	local key
	key=$(libs_key)
	if ! libs_find "$key"; then
		libs_need_tools
		cache_lock
		if ! libs_find "$key"; then	# another run may have built them meanwhile
			libs_build "$key"
			libs_find "$key"
		fi
	fi
	answer "$PREFIX"
}

libs_need_tools() {
	local t lack=
	for t in $COMPILER make pkg-config autoreconf libtoolize xz flock; do
		command -v "$t" > /dev/null || lack="$lack $t"
	done
	[ -z "$lack" ] || die "not installed:$lack; run: tools/deps.sh apt"
}

# One at a time in this cache. Whoever holds the lock may clear what a killed run left.
cache_lock() {
	mkdir -p "$CACHE" || die "cannot make the cache directory $CACHE (set FABRIC_CACHE)"
	exec 9> "$CACHE/.lock"
	flock -n 9 || {
		say "another deps.sh works in this cache; waiting for it"
		flock 9
	}
	rm -rf "$CACHE"/.build-*
}

# Sets WORK, a directory beside the result so that the last step is a rename
work_open() { WORK=$(mktemp -d "$CACHE/.build-XXXXXX"); }

# The environment of a calling make, and flags meant for the fabric itself, stay outside.
libs_build() {
	local prefix=$CACHE/$1 notes flags
	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES CC CPPFLAGS CFLAGS LDFLAGS LIBS CONFIG_SITE
	work_open
	mkdir "$WORK/out"

	# shellcheck disable=SC2086  # suites and flags are split on purpose, here and below
	source_get wolfssl "$WOLFSSL_VERSION" "$WOLFSSL_SHA256" "$WOLFSSL_LAST_RESORT" $WOLFSSL_SUITES
	read -r -d '' -a flags < <(wolfssl_flags) || true
	build wolfssl "$WORK/out" "${flags[@]}" CPPFLAGS="$WOLFSSL_CPPFLAGS"
	notes=$(libs_note wolfssl)

	# shellcheck disable=SC2086
	source_get ngtcp2 "$NGTCP2_VERSION" "$NGTCP2_SHA256" '' $NGTCP2_SUITES
	export PKG_CONFIG_PATH=$WORK/out/lib/pkgconfig
	# shellcheck disable=SC2086
	build ngtcp2 "$WORK/out" $NGTCP2_FLAGS PKG_CONFIG='pkg-config --static'
	notes="$notes"$'\n'$(libs_note ngtcp2)

	case $notes in *note:*)
		prefix=$prefix-fallback
		notes="$notes"$'\n'"note: remove $prefix to try for the pinned versions again" ;;
	esac
	libs_trim "$WORK/out" "$prefix"
	echo "$notes" > "$WORK/out/VERSIONS"
	rm -rf "$prefix"
	mv "$WORK/out" "$prefix"
	rm -f "$CACHE"/*.log
	say "built $prefix"
}

libs_note() {
	echo "$1: $SRC_VERSION $(sha256_of "$SRC_FILE")"
	[ -z "$SRC_NOTE" ] || echo "note: $SRC_NOTE"
}

# build NAME PREFIX configure-argument...: unpack SRC_FILE, build, install
build() {
	local name=$1 out=$2 log
	shift 2
	log=$CACHE/$name.log
	say "building $name $SRC_VERSION"
	mkdir "$WORK/$name"
	tar -x -f "$SRC_FILE" -C "$WORK/$name" --strip-components=1 --no-same-owner ||
		die "$name $SRC_VERSION: cannot unpack $SRC_FILE"
	(
		cd "$WORK/$name" || exit
		build_step autoconf prepare_configure
		# shellcheck disable=SC2086
		build_step configure configure_known --prefix="$out" --libdir="$out/lib" $COMMON_FLAGS \
		    CC="$COMPILER" CFLAGS="$CFLAGS_LIBS" "$@"
		build_step make make -j"$(nproc)"
		build_step 'make install' make install
	) > "$log" 2>&1 || {
		tail -n 40 "$log"
		die "$name $SRC_VERSION: $(sed -n 's/^deps.sh: step failed: //p' "$log" | tail -n 1)" \
		    "failed; the whole log is $log"
	}
	if [ -s "$WORK/$name/unknown-flags" ]; then
		SRC_NOTE="${SRC_NOTE:-$name $SRC_VERSION}; its configure lacks$(cat "$WORK/$name/unknown-flags")"
		say "FALLBACK: built without what its configure lacks:$(cat "$WORK/$name/unknown-flags")"
	fi
	rm -rf "${WORK:?}/$name"
}

# Another version than the pinned one may lack a switch; wolfSSL's configure then refuses.
configure_known() {
	local arg name known=()
	for arg; do
		case $arg in
		--enable-*|--disable-*)
			name=${arg#--*able-}
			name=${name%%=*}
			grep -q "enable_${name//-/_}\b" configure || {
				printf ' %s' "$arg" >> unknown-flags
				continue
			} ;;
		esac
		known+=("$arg")
	done
	./configure "${known[@]}"
}

build_step() {
	local what=$1
	shift
	"$@" || die "step failed: $what"
}

# wolfSSL's tarball comes from its repository, without a configure script; its autogen.sh also
# makes the empty files that autoconf wants to see.
prepare_configure() {
	if [ -x configure ]; then
		return
	elif [ -f autogen.sh ]; then
		sh ./autogen.sh
	else
		autoreconf -fi
	fi
}

# Keep headers, archives and pkg-config files. All is static: what pkg-config would tell only
# with --static is told always. Paths are those after the rename.
libs_trim() {
	local out=${1:?} prefix=$2 pc
	rm -rf "${out:?}/bin" "$out/share" "$out/lib/cmake" "$out"/lib/*.la
	for pc in "$out"/lib/pkgconfig/*.pc; do
		sed -i "s|$out|$prefix|g; s/^Requires\\.private:/Requires:/" "$pc"
		awk '/^Libs\.private:/ { sub(/^[^:]*:/, ""); priv = $0; next }
		    /^Libs:/ { libs = $0; next } { print }
		    END { print libs priv }' "$pc" > "$pc.new"
		mv "$pc.new" "$pc"
	done
}

# ---------------------------------------------------------------- peers, to compare with

# Newest first; a binary made for a newer libc does not run here, then an older suite's is taken.
peer_suites() {
	local own
	own=$(os_release VERSION_CODENAME)
	printf '%s\n' sid trixie ${own:+"$own-backports" "$own"} | awk '!seen[$0]++'
}

cmd_peers() {
	local dir
	dir=$CACHE/peers-$(dpkg --print-architecture)
	cache_lock
	# A directory of before nghttpx was wanted is fetched anew.
	if grep -qs '^nghttp2-proxy:' "$dir/VERSIONS"; then
		say "peers are there already (remove $dir to fetch the newest)"
	else
		work_open
		mkdir -p "$WORK/out/bin"
		: > "$WORK/out/VERSIONS"
		peer_get wireguard-go wireguard-go
		peer_get wireguard-tools wg
		peer_get nebula nebula nebula-cert
		peer_get openvpn openvpn
		peer_get nghttp2-proxy nghttpx
		# An empty directory is no answer that a later run should find.
		grep -qv ': missing$' "$WORK/out/VERSIONS" || die "none of the peers could be had"
		rm -rf "$dir"
		mv "$WORK/out" "$dir"
	fi
	cat "$dir/VERSIONS"
	answer "$dir"
}

# peer_get PACKAGE PROGRAM...
peer_get() {
	local package=$1 suite version
	shift
	for suite in $(peer_suites); do
		if peer_from "$package" "$suite" "$@"; then
			version=$(dpkg-deb -f "$PEER_DEB" Version)
			echo "$package: $version ($suite)" >> "$WORK/out/VERSIONS"
			return
		fi
	done
	say "MISSING: $package ($*): none of $(peer_suites | xargs) gave one that runs here"
	echo "$package: missing" >> "$WORK/out/VERSIONS"
}

# Take a package of one suite; fails, with the reason said, unless all its programs run.
peer_from() {
	local package=$1 suite=$2 program root=$WORK/out/$1
	shift 2
	suite_open deb "$suite" || return 1
	deb_download "$package" "$suite" || return 1
	rm -rf "$root"
	dpkg-deb -x "$PEER_DEB" "$root" || return 1
	for program; do
		peer_link "$package" "$suite" "$program" || return 1
	done
}

# Sets PEER_DEB
deb_download() {
	local package=$1 suite=$2 dl=$STATE/deb-$2/dl
	mkdir -p "$dl"
	[ "$(id -u)" -ne 0 ] || chown _apt "$dl" 2>/dev/null || true
	if [ -z "$(apt_in deb "$suite" apt-cache madison "$package" 2>/dev/null)" ]; then
		say "$package: not in $suite"
		return 1
	fi
	(cd "$dl" && apt_in deb "$suite" apt-get download "$package") > "$STATE/log" 2>&1 || {
		grep '^[EW]:' "$STATE/log" || true
		say "$package: download from $suite failed"
		return 1
	}
	PEER_DEB=$(ls "$dl/$package"_*.deb)
}

peer_link() {
	local package=$1 suite=$2 program=$3 path why
	path=$(cd "$WORK/out" && find "$package" -type f -path "*bin/$program" | head -n 1)
	if [ -z "$path" ]; then
		say "$package of $suite has no program $program"
		return 1
	fi
	ln -sf "../$path" "$WORK/out/bin/$program"
	why=$(peer_lacks "$WORK/out/bin/$program")
	# Libraries that are only not installed can be had; newer ones than this system's cannot.
	if [ -n "$why" ] && [ "$suite" = "$(os_release VERSION_CODENAME)" ]; then
		peer_wrap "$package" "$suite" "$path" "$program"
		why=$(peer_lacks "$WORK/out/bin/$program")
	fi
	[ -n "$why" ] || return 0
	say "$program of $suite does not run here: $why"
	rm -f "$WORK/out/bin/$program"
	return 1
}

# Prints why a program does not run, or nothing. The exit status of --version means nothing
# (some exit with 1), so its output must show a version.
peer_lacks() {
	local out
	out=$(timeout 10 "$1" --version 2>&1 < /dev/null) || true
	case $out in
	*'not found'*|*'cannot open shared object'*)
		out=${out%%$'\n'*}
		out=${out#*: }	# the program's name, then what the loader says
		echo "${out% (required by*}" ;;
	*[0-9].[0-9]*) ;;
	*) echo "--version says no version: ${out%%$'\n'*}" ;;
	esac
}

# The libraries the package depends on and this machine lacks, from the machine's own suite,
# beside the program, which gets a wrapper that finds them. Nothing is installed.
peer_wrap() {
	local package=$1 suite=$2 path=$3 program=$4 deb arch
	apt_in deb "$suite" apt-get -y --download-only --no-install-recommends install "$package" \
	    > "$STATE/log" 2>&1 || return 0
	for deb in "$STATE/deb-$suite/archives"/*.deb; do
		[ -f "$deb" ] || continue
		case ${deb##*/} in "${package}"_*) continue ;; esac
		dpkg-deb -x "$deb" "$WORK/out/$package/deps"
	done
	arch=$(uname -m)-linux-gnu
	rm -f "$WORK/out/bin/$program"
	cat > "$WORK/out/bin/$program" <<-END
	#!/bin/sh
	# $program with the libraries that were not installed here
	d=\$(dirname "\$(readlink -f "\$0")")/..
	l=\$d/$package/deps
	LD_LIBRARY_PATH=\$l/usr/lib/$arch:\$l/lib/$arch exec "\$d/$path" "\$@"
	END
	chmod 755 "$WORK/out/bin/$program"
}

# ----------------------------------------------------------------

case ${1:-all} in
all)	cmd_apt; cmd_libs ;;
apt)	cmd_apt ;;
libs)	cmd_libs ;;
prefix)	cmd_prefix ;;
peers)	cmd_peers ;;
*)	sed -n '3,/^$/s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
