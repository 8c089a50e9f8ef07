#!/bin/bash
# tools/deps.sh: what it says when something cannot be had, which fallback it takes, and that what was built is found again.
# With stand-ins for apt's tools, an archive of two small tarballs and a cache of its own: nothing is fetched or installed.
cd "$(dirname "$0")/../.." || exit 1
unset MAKEFLAGS MAKELEVEL XDG_CACHE_HOME
D=$(mktemp -d)
trap 'rm -rf "$D"' EXIT
passed=0 failed=0
export FABRIC_CACHE=$D/cache TMPDIR=$D FAKE=$D/fake
mkdir "$D/bin" "$FAKE" "$FAKE/files"

t() { # WHAT COMMAND...
	local what=$1
	shift
	if "$@"; then passed=$((passed + 1)); else
		failed=$((failed + 1))
		echo "FAILED: $what"
		tail -n 12 "$D/err"
	fi
}
deps() { # STATUS COMMAND: how it ends; what it says is in err, its answer in out
	local status=0
	PATH=$D/bin:$PATH tools/deps.sh "$2" >"$D/out" 2>"$D/err" || status=$?
	[ $status -eq "$1" ] || { echo "status $status"; return 1; }
}
says() { grep -q -- "$1" "$D/err"; }
builds() { [ "$(grep -c 'deps.sh: building' "$D/err")" -eq "$1" ]; }
left_nothing() { [ -z "$(find "$D" -name 'fabric-deps.*' -o -name '.build-*')" ]; }
answered() { # the prefix, and it is one
	[ -f "$(cat "$D/out")/VERSIONS" ]
}

# The archive: $FAKE/mirror is what apt is configured with, $FAKE/SUITE that a suite is there, and $FAKE/SUITE.NAME holds the
# version of a source in it.
cat >"$D/bin/apt-get" <<'END'
#!/bin/bash
case " $* " in
*' indextargets '*) cat "$FAKE/mirror" ;;
*' update '*)
	[[ $* =~ deb(-src)?-([a-z]+)/sources.list ]] && [ -e "$FAKE/${BASH_REMATCH[2]}" ] ||
		{ echo 'E: The repository is not signed.'; exit 100; } ;;
*' source '*)
	name=${*: -1}
	version=${name#*=}
	name=${name%%=*}
	cp "$FAKE/files/$name.tar.gz" "${name}_${version%-*}.orig.tar.gz" || { echo 'E: Failed to fetch'; exit 100; } ;;
*' install '*) echo "E: install was asked for"; exit 100 ;;
esac
END
cat >"$D/bin/apt-cache" <<'END'
#!/bin/bash
[[ $* =~ deb-src-([a-z]+)/sources.list ]] || exit 1
v=$FAKE/${BASH_REMATCH[1]}.${*: -1}
[ ! -e "$v" ] || echo "Version: $(cat "$v")"
END
printf '#!/bin/sh\necho "dir=%s; file=%s"\n' "$D/none" "$D/none" >"$D/bin/apt-config"
chmod 755 "$D/bin"/*

# The switches that these configure scripts have: all but one.
known=$(grep -o -- '--\(en\|dis\)able-[a-z0-9-]*' tools/deps.sh | grep -v keying | sed 's/^--[a-z]*able-/enable_/; s/-/_/g' | xargs)

tarball() { # NAME CONFIGURE'S-STATUS
	local dir=$D/src/$1
	mkdir -p "$dir"
	cat >"$dir/configure" <<-END
		#!/bin/sh
		# $known
		for a; do case \$a in --prefix=*) p=\${a#*=} ;; esac; done
		printf 'all:\ninstall:\n\tmkdir -p %s/lib/pkgconfig %s/include\n\techo Libs: >%s/lib/pkgconfig/$1.pc\n' "\$p" "\$p" "\$p" >Makefile
		exit $2
	END
	chmod 755 "$dir/configure"
	tar -c -z -f "$FAKE/files/$1.tar.gz" -C "$D/src" "$1"
}
sources() { # SUITE NAME VERSION
	: >"$FAKE/$1"
	echo "$3" >"$FAKE/$1.$2"
}
tarball wolfssl 0
tarball ngtcp2 0

: >"$FAKE/mirror"
t 'nothing is built yet: that is said, and how' deps 1 prefix
t 'in words' says 'not built; run: tools/deps.sh libs'
t 'a machine without an archive' deps 1 libs
t 'is told so' says "names no Debian archive"
t 'and what could not be had' says 'wolfssl: no sources to be had from any of: sid forky trixie'

echo 'http://archive.invalid/debian bookworm main' >"$FAKE/mirror"
t 'an index that is not verified' deps 1 libs
t 'is named, with its suite and what apt says' says 'suite sid: no verified index from http://archive.invalid/debian'
t "in apt's words" says 'E: The repository is not signed'

pinned=$(sed -n 's/^readonly WOLFSSL_VERSION=//p' tools/deps.sh)
sources sid wolfssl "$pinned-1"
t 'the pinned version with other content' deps 1 libs
t 'is refused, with both sums' says 'SHA-256 is [0-9a-f]\{64\}, pinned in this script is'
t 'and not kept' [ -z "$(ls "$D/cache/src")" ]

sources sid wolfssl 5.0.0-1
t 'another version, but no ngtcp2' deps 1 libs
t 'is a fallback, and which' says 'FALLBACK: wolfssl 5.0.0 from sid in place of'
t 'that its configure lacks switches' says 'FALLBACK: built without what its configure lacks: --enable-keying-material$'
t 'it failed for the other' says 'ngtcp2: no sources to be had'

sources forky ngtcp2 1.20.0-1
sources trixie wolfssl 5.0.0-1
rm "$FAKE/sid.wolfssl"
t 'the last resort' deps 0 libs
t 'is called so' says 'from trixie in place of .*; last resort, lacks fixes'
t 'both were built' builds 2
t 'the answer is a prefix' answered
t 'which is called a fallback' grep -q -- '-fallback$' "$D/out"
t 'nothing temporary is left' left_nothing
first=$(cat "$D/out")
t 'again' deps 0 libs
t 'nothing is built twice' builds 0
t 'the same' [ "$(cat "$D/out")" = "$first" ]
t 'it still says that it is a fallback' says 'NOTE: these libraries are a fallback'
t 'prefix finds it, too' deps 0 prefix

rm -r "$D/cache"
tarball wolfssl 1
t 'a build that fails' deps 1 libs
t 'says at which step, and where the log is' says "configure failed; the whole log is $D/cache/wolfssl.log"
t 'and leaves nothing half built' left_nothing

printf '#!/bin/sh\nexit 1\n' >"$D/bin/dpkg-query"
printf '#!/bin/sh\necho 1000\n' >"$D/bin/id"
chmod 755 "$D/bin/dpkg-query" "$D/bin/id"
t 'packages without root' deps 1 apt
t 'the command for root' says 'installing needs root; as root: apt-get install --no-install-recommends gcc'

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
