#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make check: every gate that needs no kernel build. Each part prints KTAP.

cd "$(dirname "$0")/../.." || exit 1
failed=0

part()
{
	local what=$1 start=$SECONDS
	shift

	echo "# == $what"
	"$@" || failed=1
	echo "# == $what: $((SECONDS - start)) s"
}

# Tests that print no KTAP of their own are one result each.
# shellcheck disable=SC2317 # called through part
plain_tests()
{
	local test number=0 status=0 log

	log=$(mktemp)
	echo "KTAP version 1"
	echo "1..$#"
	for test in "$@"; do
		number=$((number + 1))
		if python3 "$test" > "$log" 2>&1; then
			echo "ok $number $test"
		else
			sed 's/^/# /' "$log" | tail -n 30
			echo "not ok $number $test"
			status=1
		fi
	done
	rm -f "$log"
	return "$status"
}

make -s -C tools/series toy || failed=1
part "tree, as patches/ says" python3 tools/series/series.py tree
part "rules of the entries" python3 tools/series/series.py check
part "lint" python3 tools/series/lint.py
part "tests of the gates" python3 tools/series/test_gates.py
shopt -s nullglob
part "tests of the judge" plain_tests tools/judge/*_test.py
exit "$failed"
