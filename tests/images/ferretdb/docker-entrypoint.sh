#!/bin/bash
# As the official image does: options alone mean mongod, root becomes mongodb by the script's own path,
# a directory that was never used is initialised by a server on 127.0.0.1 alone, and what was for the
# initialisation is not in the server's environment.
set -eu
if [ "${1:0:1}" = - ]; then
	set -- mongod "$@"
fi
if [[ "$1" == mongo* ]] && [ "$(id -u)" = 0 ]; then
	if [ "$1" = mongod ]; then
		find /data/configdb /data/db \! -user mongodb -exec chown mongodb '{}' +
	fi
	chown --dereference mongodb "/proc/$$/fd/1" "/proc/$$/fd/2" || :
	exec setpriv --reuid=mongodb --regid=mongodb --init-groups -- "$0" "$@"
fi

file_env() {
	local file="${1}_FILE" text
	if [ -n "${!1:-}" ] && [ -n "${!file:-}" ]; then
		echo "error: both $1 and $file are set (but are exclusive)" >&2
		exit 1
	fi
	text=${!1:-}
	[ -z "${!file:-}" ] || text=$(<"${!file}")
	export "$1=$text"
	unset "$file"
}

if [ "$1" = mongod ]; then
	file_env MONGO_INITDB_ROOT_USERNAME
	file_env MONGO_INITDB_ROOT_PASSWORD
	if [ -n "$MONGO_INITDB_ROOT_USERNAME" ] && [ -n "$MONGO_INITDB_ROOT_PASSWORD" ]; then
		set -- "$@" --auth
	elif [ -n "$MONGO_INITDB_ROOT_USERNAME$MONGO_INITDB_ROOT_PASSWORD" ]; then
		echo "error: missing 'MONGO_INITDB_ROOT_USERNAME' or 'MONGO_INITDB_ROOT_PASSWORD'" >&2
		exit 1
	fi
	if [ ! -e /data/db/WiredTiger ] && [ ! -e /data/db/storage.bson ]; then
		if [ -n "$MONGO_INITDB_ROOT_USERNAME" ]; then
			export FERRETDB_SETUP_DATABASE=admin FERRETDB_SETUP_USERNAME=$MONGO_INITDB_ROOT_USERNAME
			export FERRETDB_SETUP_PASSWORD=$MONGO_INITDB_ROOT_PASSWORD
		fi
		auth=
		[ -z "$MONGO_INITDB_ROOT_USERNAME" ] || auth=--auth
		mongod $auth &
		server=$!
		unset "${!FERRETDB_SETUP_@}"
		until mongosh --quiet --host 127.0.0.1 admin --eval 'db.runCommand({ping: 1})' >/dev/null 2>&1; do
			kill -0 "$server" || exit 1
			sleep 0.1
		done
		for file in /docker-entrypoint-initdb.d/*; do
			case $file in
			*.sh) bash "$file" ;;
			*.js) mongosh --quiet --host 127.0.0.1 "${MONGO_INITDB_DATABASE:-test}" "$file" ;;
			esac
		done
		sleep "${INITIALISATION_TAKES:-0}"
		kill "$server"
		wait "$server" || :
	fi
	set -- "$@" --bind_ip_all
	unset "${!MONGO_INITDB_@}"
fi
exec "$@"
