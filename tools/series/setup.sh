#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make setup: install what the other targets need. Safe to repeat; says what it adds.
# Only Debian is installed on. Elsewhere the missing packages are listed.

set -u

SOURCES=/etc/apt/sources.list.d/bookworm-backports.sources
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
QEMU_WANTED=10
# Others are only named by the tests of this script.
OS_RELEASE=${OS_RELEASE:-/etc/os-release}
SYSTEM_PATH=${SYSTEM_PATH:-/usr/bin:/bin}

# What a bare Debian lacks. By use: the kernel's build; that for arm64; its checks; static
# programs for the machine; PID 1 and RAM disks; fetching over TLS.
PACKAGES="git make gcc libc6-dev flex bison bc libelf-dev libssl-dev perl kmod xz-utils
	diffutils python3 ccache
	gcc-aarch64-linux-gnu
	sparse codespell shellcheck python3-ply python3-git
	libcap-dev uuid-dev linux-libc-dev
	cpio busybox-static
	ca-certificates"

say()
{
	echo "setup: $*"
}

die()
{
	echo "setup: $*" >&2
	exit 1
}

installed()
{
	[[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2> /dev/null) == installed ]]
}

# The major version of QEMU, or 0.
qemu_version()
{
	local text

	text=$(qemu-system-x86_64 --version 2> /dev/null) || text=""
	text=${text#*version }
	text=${text%%.*}
	echo "${text:-0}"
}

as_root()
{
	if [[ $(id -u) -eq 0 ]]; then
		"$@"
	elif command -v sudo > /dev/null; then
		# To stderr, because a caller may redirect what the command prints.
		say "root is needed for: $*" >&2
		sudo "$@"
	else
		die "root is needed and there is no sudo; run as root: $*"
	fi
}

apt()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@" ||
		die "apt-get $* failed"
}

missing_packages()
{
	local package

	for package in $PACKAGES; do
		installed "$package" || echo "$package"
	done
}

# Whether a static program can be linked; by its header and library, if it needs some.
links()
{
	local header=$1 probe status

	shift
	probe=$(mktemp) || die "no temporary file"
	printf '%s\nint main(void) { return 0; }\n' "${header:+#include <$header>}" |
		gcc -static -x c - -o "$probe" "$@" > /dev/null 2>&1
	status=$?
	rm -f "$probe"
	return "$status"
}

# Commands stand for packages where there is no dpkg.
other_distribution()
{
	local pair missing=()

	for pair in git:git make:make gcc:gcc flex:flex bison:bison bc:bc perl:perl depmod:kmod \
		xz:xz awk:awk diff:diffutils python3:python3 ccache:ccache sparse:sparse \
		codespell:codespell shellcheck:ShellCheck cpio:cpio busybox:busybox-static \
		aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu; do
		command -v "${pair%%:*}" > /dev/null || missing+=("${pair#*:}")
	done
	# The checks call the distribution's own python3, whatever comes first in PATH.
	for pair in ply:python3-ply git:python3-GitPython; do
		PATH=$SYSTEM_PATH:$PATH python3 -c "import ${pair%%:*}" > /dev/null 2>&1 ||
			missing+=("${pair#*:}")
	done
	links "" || missing+=(glibc-static)
	links sys/capability.h -lcap || missing+=(libcap-static)
	links uuid/uuid.h -luuid || missing+=(libuuid-static)
	for pair in gelf.h:libelf-devel openssl/ssl.h:openssl-devel; do
		echo "#include <${pair%%:*}>" | gcc -E - > /dev/null 2>&1 || missing+=("${pair#*:}")
	done
	[[ $(qemu_version) -ge $QEMU_WANTED ]] || missing+=("qemu-system-x86 (version $QEMU_WANTED or later)")
	if [[ ${#missing[@]} -eq 0 ]]; then
		say "this is not Debian, but all that is needed is there"
		exit 0
	fi
	echo "setup: this is not Debian: install these packages (their names may differ here):" >&2
	printf '  %s\n' "${missing[@]}" >&2
	exit 1
}

# On the mirror that apt uses for the distribution itself.
add_backports()
{
	local uri known

	# shellcheck disable=SC2016 # apt's own format, not the shell's
	known=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)')
	if grep -q '^bookworm-backports main ' <<< "$known"; then
		return
	fi
	uri=$(sed -n 's/^bookworm main //p' <<< "$known" | head -n 1)
	[[ -n $uri ]] || die "apt has no mirror of bookworm, so backports cannot be added"
	say "add $SOURCES: bookworm-backports on $uri, for QEMU $QEMU_WANTED"
	as_root tee "$SOURCES" > /dev/null << END || die "cannot write $SOURCES"
# Added by "make setup" for QEMU. Backports are only used for what is asked for by name.
Types: deb
URIs: $uri
Suites: bookworm-backports
Components: main
$([[ ! -e $KEYRING ]] || echo "Signed-By: $KEYRING")
END
}

main()
{
	local missing codename qemu=""

	if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
		other_distribution
	fi
	# shellcheck source=/dev/null
	codename=$(. "$OS_RELEASE" && [[ $ID == debian ]] && echo "${VERSION_CODENAME:-}")
	[[ -n $codename ]] || other_distribution

	missing=$(missing_packages | tr '\n' ' ')
	[[ $(qemu_version) -ge $QEMU_WANTED ]] || qemu="qemu-system-x86"
	if [[ -z $missing && -z $qemu ]]; then
		say "all is installed, QEMU $(qemu_version) too"
		return
	fi

	say "install: $missing$qemu"
	apt update
	if [[ -n $qemu && $codename == bookworm ]]; then
		add_backports
		apt update
		qemu="-t bookworm-backports $qemu"
	fi
	if [[ -n $missing ]]; then
		# shellcheck disable=SC2086
		apt install -y --no-install-recommends $missing
	fi
	if [[ -n $qemu ]]; then
		# shellcheck disable=SC2086
		apt install -y --no-install-recommends $qemu
	fi
	missing=$(missing_packages | tr '\n' ' ')
	[[ -z $missing ]] || die "still missing: $missing"
	[[ $(qemu_version) -ge $QEMU_WANTED ]] || die "QEMU is still version $(qemu_version)"
	say "done"
}

main "$@"
