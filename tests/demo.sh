# Sourced by the parts of make demo, inside their sandbox: what is claimed is run, shown and counted.
# shellcheck shell=bash

started=$SECONDS
declare -a summary
claim() { # TEXT COMMAND...: runs it, shows it, counts it
	local what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		summary+=("ok      $what${result:+: $result}")
	else
		failed=$((failed + 1))
		summary+=("FAILED  $what${result:+: $result}")
	fi
	result=
}
heading() { printf '\n== %s\n' "$*"; }
