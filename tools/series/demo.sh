#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make demo: one run of the yardstick on a kernel that is built already, its screen and
# its picture. The result's line comes first, so that the verdict stands last.

set -u
vmtest=$1 out=$2 target=$3
tests=$(dirname "$vmtest")

if [[ ! -f $out/vmtest/yardstick.cpio ]]; then
	echo "demo: $out has no RAM disk of the yardstick: make kernel first" >&2
	exit 1
fi
echo "A device writes numbered frames into memory while the kernel is replaced. About a minute."
echo "Raw data and logs: $target/yardstick"
echo "Picture:           $target/report/index.html"
echo "                   $target/report/timeline.svg"
exec python3 -B "$tests/yardstick.py" --kernel "$out/arch/x86/boot/bzImage" \
	--initrd "$out/vmtest/yardstick.cpio" \
	--frame-host "$out/kselftest/liveupdate/iommu/frame_host" \
	--out "$target/yardstick" --name demo --report "$target/report"
