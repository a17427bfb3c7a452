# shellcheck shell=bash
# Sourced by scripts that fetch Debian packages of another suite than the machine's. They have say() and die()
# and call apt_cleanup() in the end.
apt=

apt_cleanup() { [ -z "$apt" ] || rm -rf "$apt"; }

# The Debian mirror that this machine uses already; none is ever written down.
mirror_of() { # mirror_of LABEL
	# shellcheck disable=SC2016 # apt-get's own variable
	apt-get indextargets --format '$(REPO_URI)' "Origin: Debian" "Label: $1" | head -n 1
}

# A private apt: own lists and state, sources of one suite. Nothing of the machine's apt changes.
private_apt() { # private_apt SUITE KIND...: of "deb" and "deb-src"
	local suite=$1 kind main security keyring=/usr/share/keyrings/debian-archive-keyring.gpg d
	shift
	[ -n "$apt" ] || apt=$(mktemp -d "${TMPDIR:-/tmp}/sidesnap-apt.XXXXXX")
	d=$apt/$suite
	export APT_CONFIG=$d/apt.conf
	[ ! -e "$d/.updated" ] || return 0
	unset APT_CONFIG
	main=$(mirror_of Debian)
	[ -n "$main" ] || die "this machine's apt knows no Debian mirror; run \"apt-get update\" as root"
	security=$(mirror_of Debian-Security)
	mkdir -p "$d/lists/partial" "$d/cache/archives/partial" "$d/state"
	: >"$d/status"
	{
		for kind; do
			echo "$kind [signed-by=$keyring] $main $suite main"
			if [ "$kind" = deb-src ] && [ -n "$security" ]; then
				echo "deb-src [signed-by=$keyring] $security $suite-security main"
			fi
		done
	} >"$d/sources.list"
	cat >"$d/apt.conf" <<-CONF
		Dir::State "$d/state";
		Dir::State::lists "$d/lists";
		Dir::State::status "$d/status";
		Dir::Cache "$d/cache";
		Dir::Etc::sourcelist "$d/sources.list";
		Dir::Etc::sourceparts "-";
		APT::Sandbox::User "$(id -un)";
		APT::Get::List-Cleanup "false";
		Acquire::Languages "none";
		Acquire::Retries "3";
	CONF
	export APT_CONFIG=$d/apt.conf
	say "reading the package lists of $suite"
	apt-get -qq update >&2 || die "cannot read the package lists of $suite; is the mirror reachable?"
	touch "$d/.updated"
}
