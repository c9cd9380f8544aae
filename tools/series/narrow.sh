#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The MAKE of a build by narrow.py: kbuild goes its own way, except that it does not
# go down into directories of objects where nothing can be out of date.
# NARROW_DIRS has those where something can be, and the ones above: " . mm drivers ".

script="" dir="" objects=""
for word in "$@"; do
	case "$word" in
	*/scripts/Makefile.build) script=1 ;;
	obj=*) dir=${word#obj=} ;;
	need-builtin=*) objects=1 ;;
	esac
done
if [ -n "$script" ] && [ -n "$objects" ]; then
	case "$NARROW_DIRS" in
	*" $dir "*) ;;
	*) exit 0 ;;
	esac
fi
exec make "$@"
