#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the kernel of this tree with the options of ./config and run the lists of
# ./tests in virtual machines. Results go to stdout as KTAP.

set -ue

test_dir=$(realpath "$(dirname "$0")")
kernel_dir=$(realpath "$test_dir/../../../../..")

build_dir=""
jobs=$(nproc)
config="lu"
wanted="all"
workspace=""
keep_workspace=0
build_only=0
child=""
verbose=""
[[ ${V:-0} != 1 ]] || verbose=1

# Where the selftests keep the programs that lists name as /tests/PROGRAM.
targets=(liveupdate/iommu liveupdate iommu vfio)

# shellcheck source=../../kselftest/ktap_helpers.sh
source "$test_dir/../../kselftest/ktap_helpers.sh"

usage()
{
	cat <<END
$0 [-d build_dir] [-j jobs] [-c config] [-T list[,list]] [-w workspace] [-k] [-b] [-l] [-h]
Options:
	-d)	path to the kernel build directory (default: .lu_iommu_build of the tree)
	-j)	number of jobs for compilation
	-c)	lu (default), lu-off (no live update), debug (with KASAN and kmemleak:
		about three times slower, more memory), modules (iommufd is one, and
		the lists are those that say so)
	-T)	lists to run; "long": those that take long (default: all others that are
		not told to stay out)
	-w)	workspace directory for logs (default: a temporary one)
	-k)	keep the workspace after success
	-b)	only build kernel, programs and initial RAM disks
	-l)	list the lists
	-h)	display this help
Environment:
	CC, HOSTCC	compilers for the kernel and the programs
	V=1		print the commands, those of kbuild too
END
}

# The test cannot even start: say why and fail.
bail_out()
{
	keep_workspace=1
	echo "Bail out! $*"
	exit "$KSFT_FAIL"
}

# The value of a "#vm KEY=value" line of a list.
list_setting()
{
	sed -n "s/^#vm $2=//p" "$test_dir/tests/$1.list"
}

all_lists()
{
	local list

	for list in "$test_dir"/tests/*.list; do
		basename "$list" .list
	done
}

# The same for a line of the configuration in use, which may ask more of the
# machine than the lists do.
config_setting()
{
	local fragment

	fragment=$(fragments) || return
	# shellcheck disable=SC2086
	sed -n "s/^#vm $1=//p" $fragment | tail -n 1
}

# The lists that say "#vm default=$1"; those without it say "".
lists_of()
{
	local list

	for list in $(all_lists); do
		if [[ $(list_setting "$list" default) == "$1" ]]; then
			echo "$list"
		fi
	done
}

# The fragments of the configuration, later ones first in force.
fragments()
{
	case "$config" in
	lu) echo "$test_dir/config" ;;
	lu-off) echo "$test_dir/config" "$test_dir/config.off" ;;
	debug) echo "$test_dir/config" "$test_dir/config.debug" ;;
	modules) echo "$test_dir/config" "$test_dir/config.modules" ;;
	*) return 1 ;;
	esac
}

# Print one line for each option, the last one if it is there several times.
merge_fragments()
{
	awk '
	/^CONFIG_[A-Z0-9_]+=/ { split($0, part, "="); name = part[1] }
	/^# CONFIG_[A-Z0-9_]+ is not set$/ { name = $2 }
	/^CONFIG_|^# CONFIG_/ { line[name] = $0 }
	END { for (name in line) print line[name] }
	' "$@" | sort
}

# Each requested option must have survived: a test of a kernel without it would
# prove nothing.
check_config()
{
	local requested=$1 final=$2 line name lost=0

	while read -r line; do
		case "$line" in
		CONFIG_*)
			if ! grep -qxF -- "$line" "$final"; then
				echo "# lost option: $line"
				lost=1
			fi
			;;
		*)
			name=${line#\# }
			name=${name%% *}
			if grep -q "^$name=" "$final"; then
				echo "# option that should be off: $name"
				lost=1
			fi
			;;
		esac
	done < "$requested"
	return $lost
}

# What others say, for KTAP.
comment()
{
	sed -u 's/^\(# \)\?/# /'
}

# With V=1, tell a command before it runs; KTAP takes it for a comment.
shown()
{
	[[ -z $verbose ]] || echo "# + ${*@Q}"
	"$@"
}

kernel_make()
{
	shown make -C "$kernel_dir" O="$build_dir" -j"$jobs" ${verbose:+V=1} \
		${CC:+CC="$CC"} ${HOSTCC:+HOSTCC="$HOSTCC"} "$@"
}

# Run a command with its output in a log; on failure show the end of it.
logged()
{
	local what=$1 log=$2 start=$SECONDS follow=""
	shift 2

	echo "# building $what"
	: > "$log"
	"$@" >> "$log" 2>&1 &
	child=$!
	if [[ -n $verbose ]]; then
		tail -n +1 -s 0.2 -f --pid="$child" "$log" | comment &
		follow=$!
	fi
	while kill -0 "$child" 2> /dev/null; do
		sleep 1
		if [[ -z $verbose ]] && (((SECONDS - start) % 20 == 19)); then
			echo "# ... $(wc -l < "$log") steps done"
		fi
	done
	[[ -z $follow ]] || wait "$follow"
	if ! wait "$child"; then
		child=""
		tail -n 20 "$log" | sed 's/^/# /'
		bail_out "cannot build $what, see $log"
	fi
	child=""
	echo "# $what: $((SECONDS - start)) s"
}

# Two runs that configure and build in one directory spoil each other's files.
# The lock is given up before the tests, which only read what is built.
lock_build()
{
	exec 9> "$build_dir/vmtest.lock"
	if ! flock -n 9; then
		echo "# waiting for another build in $build_dir"
		flock 9
	fi
}

# Leave .config alone if it would not change: kbuild goes by its time.
configure_kernel()
{
	local requested="$build_dir/vmtest.fragment" new="$build_dir/vmtest.config"
	local fragment

	fragment=$(fragments) || bail_out "unknown configuration $config"
	# shellcheck disable=SC2086
	merge_fragments $fragment > "$requested"
	cp "$requested" "$new"
	kernel_make -s KCONFIG_CONFIG="$new" olddefconfig \
		> "$workspace/config.log" 2>&1 ||
		bail_out "olddefconfig failed, see $workspace/config.log"
	[[ -z $verbose ]] || comment < "$workspace/config.log"
	check_config "$requested" "$new" || bail_out "the configuration lost options"
	if ! cmp -s "$new" "$build_dir/.config"; then
		mv "$new" "$build_dir/.config"
	fi
	rm -f "$new" "$new.old"
}

build_programs()
{
	shown make -C "$kernel_dir/tools/testing/selftests" O="$build_dir" -j"$jobs" \
		${verbose:+V=1} TARGETS="${targets[*]}" FORCE_TARGETS=1 USERLDFLAGS=-static \
		${CC:+CC="$CC"}
}

# The path of a built program.
find_program()
{
	local target

	for target in "${targets[@]}"; do
		if [[ -f $build_dir/kselftest/$target/$1 ]]; then
			echo "$build_dir/kselftest/$target/$1"
			return
		fi
	done
	bail_out "no program $1 in the selftests ${targets[*]}" >&2
}

# What an initial RAM disk holds for a list: its programs, its modules and nothing
# more, as a kexec has to read and check it all.
cpio_list()
{
	local list=$1 stage="$build_dir/vmtest" program path list_file

	cat <<END
dir /dev 0755 0 0
nod /dev/console 0600 0 0 c 5 1
dir /tests 0755 0 0
file /init $stage/init 0755 0 0
END
	for list_file in "$test_dir"/tests/*.list; do
		echo "file /tests/${list_file##*/} $list_file 0644 0 0"
	done
	while read -r program; do
		path=$(find_program "$program")
		strip -o "$stage/$program" "$path"
		echo "file /tests/$program $stage/$program 0755 0 0"
	done < <(sed -n 's,^[^#|][^|]*|[^|]*|[^|]*|/tests/\([^ ]*\).*,\1,p' \
		 "$test_dir/tests/$list.list" | sort -u)
	while read -r program; do
		echo "file /tests/${program##*/} $build_dir/$program 0644 0 0"
	done < <(list_setting "$list" module)
}

make_initrd()
{
	local list=$1 stage="$build_dir/vmtest"
	local cpio="$build_dir/usr/gen_init_cpio"

	mkdir -p "$stage"
	strip -o "$stage/init" "$(find_program init)"
	cpio_list "$list" > "$stage/$list.cpio_list"
	if grep -q '^[^#|]*|[^|]*|kexec|' "$test_dir/tests/$list.list"; then
		"$cpio" "$stage/$list.cpio_list" > "$stage/$list.inner"
		cat >> "$stage/$list.cpio_list" <<END
file /kernel $kernel 0644 0 0
file /initrd.img $stage/$list.inner 0644 0 0
END
	fi
	"$cpio" "$stage/$list.cpio_list" > "$stage/$list.cpio.tmp"
	mv "$stage/$list.cpio.tmp" "$stage/$list.cpio"
}

# Run one list, which may have a runner of its own. Its output is nested KTAP.
run_list()
{
	local list=$1 dir="$workspace/$1" status=0
	local runner word args=(--kernel "$kernel" --initrd "$build_dir/vmtest/$list.cpio")

	args+=(--slow "$(config_setting slow)" --least-mem "$(config_setting mem)")
	for word in $(config_setting append); do
		args+=(--append "$word")
	done
	mkdir -p "$dir"
	read -r -a runner <<< "$(list_setting "$list" runner)"
	if [[ ${#runner[@]} -gt 0 ]]; then
		args+=(--out "$dir" --frame-host "$(find_program frame_host)")
	else
		runner=(run_list.py)
		args+=(--workdir "$dir" --list "$test_dir/tests/$list.list"
		       --skips "$test_dir/skips/$list")
	fi
	[[ -z $verbose ]] || echo "    # + python3 $test_dir/${runner[*]} ${args[*]}"
	# In the background, because bash only acts on signals while it waits.
	python3 "$test_dir/${runner[0]}" "${runner[@]:1}" "${args[@]}" \
		> "$dir/results.log" 2>&1 &
	child=$!
	wait "$child" || status=$?
	child=""
	sed "s/^/    /" "$dir/results.log"
	return "$status"
}

# Whether the kernel has what a list needs.
has_needs()
{
	local need

	for need in $(list_setting "$1" needs); do
		[[ $need == *=* ]] || need+="=y"
		grep -qxF "$need" "$build_dir/.config" || return 1
	done
}

test_list()
{
	local list=$1 start=$SECONDS

	if ! has_needs "$list"; then
		echo "# $list: this kernel lacks $(list_setting "$list" needs)"
		if [[ $wanted == all || $wanted == long ]]; then
			ktap_test_skip "$list"
		else
			ktap_test_fail "$list"
		fi
		return
	fi
	echo "# running $list"
	if run_list "$list"; then
		echo "# $list took $((SECONDS - start)) s"
		ktap_test_pass "$list"
	else
		echo "# $list failed, logs: $workspace/$list"
		keep_workspace=1
		ktap_test_fail "$list"
	fi
}

cleanup()
{
	if [[ -n $child ]]; then
		kill "$child" 2> /dev/null || true
		wait "$child" || true
	fi
	if [[ $keep_workspace -eq 1 ]]; then
		echo "# workspace: $workspace"
	else
		rm -rf "$workspace"
	fi
}

main()
{
	local lists list

	while getopts 'd:j:c:T:w:kblh' opt; do
		case "$opt" in
		d) build_dir=$OPTARG ;;
		j) jobs=$OPTARG ;;
		c) config=$OPTARG ;;
		T) wanted=$OPTARG ;;
		w) workspace=$OPTARG ;;
		k) keep_workspace=1 ;;
		b) build_only=1 ;;
		l) all_lists; exit 0 ;;
		h) usage; exit 0 ;;
		*) usage >&2; exit 1 ;;
		esac
	done

	case "$wanted" in
	all) if [[ $config == modules ]]; then
			lists=$(lists_of modules)
		else
			lists=$(lists_of "")
		fi ;;
	long) lists=$(lists_of long) ;;
	*) lists=${wanted//,/ } ;;
	esac
	for list in $lists; do
		[[ -f $test_dir/tests/$list.list ]] || bail_out "no list $list"
	done

	build_dir=$(realpath -m "${build_dir:-$kernel_dir/.lu_iommu_build}")
	mkdir -p "$build_dir"
	kernel="$build_dir/arch/x86/boot/bzImage"
	if [[ -n $workspace ]]; then
		# Logs in a directory that somebody chose are there to be read.
		keep_workspace=1
		workspace=$(realpath -m "$workspace")
		mkdir -p "$workspace"
	else
		workspace=$(mktemp -d /tmp/lu-iommu.XXXXXXXX)
	fi
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM

	ktap_print_header
	# shellcheck disable=SC2086
	[[ $build_only -eq 1 ]] || ktap_set_plan "$(set -- $lists; echo $#)"

	lock_build
	configure_kernel
	logged "kernel" "$workspace/kernel.log" kernel_make bzImage modules headers
	logged "programs" "$workspace/programs.log" build_programs
	if [[ $build_only -eq 1 ]]; then
		lists=$(all_lists)
	fi
	for list in $lists; do
		if has_needs "$list"; then
			make_initrd "$list"
		fi
	done
	exec 9>&-
	if [[ $build_only -eq 1 ]]; then
		return
	fi
	for list in $lists; do
		test_list "$list"
	done
	ktap_finished
}

main "$@"
