#!/bin/bash
# The first start, judged by the meta directory alone: a server on 127.0.0.1, users and databases by the
# variables, then what lies in /docker-entrypoint-initdb.d.
set -e
folder=/docker-entrypoint-initdb.d
users=
if [ "${INFLUXDB_HTTP_AUTH_ENABLED:-}" = true ] && [ -n "${INFLUXDB_ADMIN_USER:-}" ]; then
	users=yes
fi
if [ -d /var/lib/influxdb/meta ] || { [ -z "$users$INFLUXDB_DB" ] && [ -z "$(ls -A "$folder")" ]; }; then
	exit 0
fi
random() { tr -dc A-Za-z0-9 </dev/urandom | head -c 32; }
quoted() {
	local text=${1//\\/\\\\}
	echo "${text//\'/\\\'}"
}
INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:8086 INFLUXDB_HTTP_HTTPS_ENABLED=false influxd "$@" &
pid=$!
for ((i = 60; i > 0; i--)); do
	if influx -host 127.0.0.1 -execute settings >/dev/null 2>&1; then
		break
	fi
	sleep 0.5
done
if [ "$i" = 0 ]; then
	echo "init-influxdb.sh: the server for the setup does not answer" >&2
	exit 1
fi
run=(influx -host 127.0.0.1)
ask() { "${run[@]}" -execute "$1"; }
if [ -n "$users" ]; then
	password=${INFLUXDB_ADMIN_PASSWORD:-$(random)}
	[ -n "${INFLUXDB_ADMIN_PASSWORD:-}" ] || echo "INFLUXDB_ADMIN_PASSWORD: $password"
	ask "CREATE USER \"$INFLUXDB_ADMIN_USER\" WITH PASSWORD '$(quoted "$password")' WITH ALL PRIVILEGES"
	export INFLUX_USERNAME=$INFLUXDB_ADMIN_USER INFLUX_PASSWORD=$password
fi
if [ -n "${INFLUXDB_DB:-}" ]; then
	ask "CREATE DATABASE \"$INFLUXDB_DB\""
fi
if [ -n "$users" ] && [ -n "${INFLUXDB_USER:-}" ]; then
	ask "CREATE USER \"$INFLUXDB_USER\" WITH PASSWORD '$(quoted "${INFLUXDB_USER_PASSWORD:-$(random)}")'"
	if [ -n "${INFLUXDB_DB:-}" ]; then
		ask "GRANT ALL ON \"$INFLUXDB_DB\" TO \"$INFLUXDB_USER\""
	fi
fi
for file in "$folder"/*; do
	case $file in
	*.sh) # shellcheck source=/dev/null
		. "$file" ;;
	*.iql) "${run[@]}" <"$file" ;;
	esac
done
kill -s TERM "$pid"
wait "$pid" || true
