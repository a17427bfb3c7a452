#!/bin/bash
# As the official image does: options alone are the server's, root hands over to clickhouse, and what
# was never initialised is by a server that listens on 127.0.0.1 alone.
set -eu
config=/etc/clickhouse-server/config.xml
as_user=()
if [ "$(id -u)" = 0 ]; then
	chown -R clickhouse:clickhouse /var/lib/clickhouse /var/log/clickhouse-server
	as_user=(setpriv --reuid=clickhouse --regid=clickhouse --clear-groups --)
fi
if [ ! -d /var/lib/clickhouse/data ]; then
	"${as_user[@]}" /usr/bin/clickhouse-server --config-file="$config" -- --listen_host=127.0.0.1 &
	server=$!
	until clickhouse-client --host 127.0.0.1 --query 'SELECT 1' >/dev/null 2>&1; do
		kill -0 "$server" || exit 1
		sleep 0.2
	done
	[ -z "${CLICKHOUSE_DB:-}" ] || clickhouse-client --host 127.0.0.1 --query "CREATE DATABASE IF NOT EXISTS $CLICKHOUSE_DB"
	for file in /docker-entrypoint-initdb.d/*.sql; do
		[ ! -e "$file" ] || clickhouse-client --host 127.0.0.1 --multiquery <"$file"
	done
	sleep "${INITIALISATION_TAKES:-0}"
	kill "$server"
	wait "$server" || :
fi
if [ $# -lt 1 ] || [[ "$1" == --* ]]; then
	exec "${as_user[@]}" /usr/bin/clickhouse-server --config-file="$config" "$@"
fi
exec "$@"
