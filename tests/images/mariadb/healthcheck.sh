#!/bin/bash
# The official image's check in small: healthcheck.sh [--su-mysql] --connect --innodb_initialized
set -eo pipefail
data=/var/lib/mysql
options=()

client() { mariadb "${options[@]}" "$@"; }

connect() {
	! client -h localhost --protocol tcp -e 'select 1' 2>&1 | grep -qF "Can't connect"
}

innodb_initialized() {
	[ "$(client -BN -e "select 1 from information_schema.ENGINES where engine = 'InnoDB' and support in ('YES', 'DEFAULT')")" = 1 ]
}

[ $# -gt 0 ] || {
	echo "At least one argument required" >&2
	exit 1
}
if [ "$1" = --su-mysql ]; then
	shift
	exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
fi
[ ! -f "$data/.my-healthcheck.cnf" ] || options=(--defaults-extra-file="$data/.my-healthcheck.cnf")
for word; do
	case $word in
	--connect | --innodb_initialized)
		"${word#--}" || {
			echo "healthcheck ${word#--} failed" >&2
			exit 1
		}
		;;
	*)
		echo "healthcheck unknown option or test '$word'" >&2
		exit 1
		;;
	esac
done
