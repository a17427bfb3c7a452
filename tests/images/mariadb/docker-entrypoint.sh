#!/bin/bash
# The habits of the official MariaDB image: what it reads, when it initialises, how it becomes the server.
set -eo pipefail
shopt -s nullglob

say() { echo "$(date --rfc-3339=seconds) [$1] [Entrypoint]: $2"; }
die() {
	say ERROR "$1" >&2
	exit 1
}

# value_of NAME: from NAME or from the file that NAME_FILE names; never from both.
value_of() {
	local name=$1 file=$1_FILE
	if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
		die "Both $name and $file are set (but are exclusive)"
	fi
	if [ -n "${!file:-}" ]; then
		printf -v "$name" %s "$(cat "${!file}")"
	fi
	export "$name"="${!name:-}"
	unset "$file"
}

# The same setting under its two names.
either() {
	local new=MARIADB_$1 old=MYSQL_$2
	value_of "$old"
	value_of "$new"
	[ -n "${!new}" ] || printf -v "$new" %s "${!old}"
	export "${new?}" "$old"="${!new}"
}

quoted() {
	local text=${1//\\/\\\\}
	printf %s "${text//\'/\\\'}"
}

setting_of() {
	"${server[@]}" --verbose --help 2>/dev/null | awk -v name="$1" '/^[^ \t]/ && $1 == name { sub(/^[^ \t]+[ \t]+/, ""); print; exit }'
}

# The client, as root over the socket; the password by the environment alone.
sql() { MYSQL_PWD=$password mariadb --no-defaults --protocol=socket --socket="$socket" -uroot "$@"; }

start_temporary() {
	"${server[@]}" --skip-networking --default-time-zone=SYSTEM --wsrep_on=OFF --expire-logs-days=0 \
		--loose-innodb_buffer_pool_load_at_startup=0 &
	temporary=$!
	for _ in {1..300}; do
		sql -e 'SELECT 1' >/dev/null 2>&1 && return
		kill -0 "$temporary" 2>/dev/null || die "the temporary server ended"
		sleep 0.1
	done
	die "Unable to start server."
}

create_accounts() {
	local new host health
	new=$(quoted "$MARIADB_ROOT_PASSWORD")
	echo "SET @@SESSION.SQL_LOG_BIN=0; SET @@SESSION.SQL_MODE=REPLACE(@@SESSION.SQL_MODE, 'NO_BACKSLASH_ESCAPES', '');"
	echo "DROP USER IF EXISTS root@'127.0.0.1', root@'::1';"
	printf "EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS root@', QUOTE(@@hostname));\n"
	echo "SET PASSWORD FOR root@localhost = PASSWORD('$new');"
	if [ -n "$MARIADB_ROOT_HOST" ] && [ "$MARIADB_ROOT_HOST" != localhost ]; then
		echo "CREATE USER root@'$MARIADB_ROOT_HOST' IDENTIFIED BY '$new';"
		echo "GRANT ALL ON *.* TO root@'$MARIADB_ROOT_HOST' WITH GRANT OPTION;"
		echo "GRANT PROXY ON ''@'%' TO root@'$MARIADB_ROOT_HOST' WITH GRANT OPTION;"
	fi
	health=$(head -c 18 /dev/urandom | base64)
	for host in 127.0.0.1 ::1 localhost; do
		echo "CREATE USER IF NOT EXISTS healthcheck@'$host' IDENTIFIED BY '$health';"
		echo "GRANT USAGE ON *.* TO healthcheck@'$host';"
	done
	(umask 077 && printf '[mariadb-client]\nport=%s\nsocket=%s\nuser=healthcheck\npassword=%s\nprotocol=tcp\n' \
		"$(setting_of port)" "$socket" "$health" >"$data/.my-healthcheck.cnf")
	if [ -n "$MARIADB_DATABASE" ]; then
		echo "CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`;"
	fi
	if [ -n "$MARIADB_USER" ] && [ -n "$MARIADB_PASSWORD" ]; then
		echo "CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY '$(quoted "$MARIADB_PASSWORD")';"
		[ -z "$MARIADB_DATABASE" ] || echo "GRANT ALL ON \`${MARIADB_DATABASE//_/\\_}\`.* TO '$MARIADB_USER'@'%';"
	fi
}

run_scripts() {
	local file
	for file in /docker-entrypoint-initdb.d/*; do
		case $file in
		*.sh)
			say Note "running $file"
			# shellcheck disable=SC1090
			if [ -x "$file" ]; then "$file"; else . "$file"; fi
			;;
		*.sql) say Note "running $file" && sql ${MARIADB_DATABASE:+-D "$MARIADB_DATABASE"} <"$file" ;;
		*.sql.gz) say Note "running $file" && gunzip -c "$file" | sql ${MARIADB_DATABASE:+-D "$MARIADB_DATABASE"} ;;
		*) say Warn "ignoring $file" ;;
		esac
	done
}

initialise() {
	if [ -z "$MARIADB_ROOT_PASSWORD$MARIADB_ALLOW_EMPTY_ROOT_PASSWORD$MARIADB_RANDOM_ROOT_PASSWORD" ]; then
		die "Database is uninitialized and password option is not specified: set one of MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and MARIADB_RANDOM_ROOT_PASSWORD"
	fi
	say Note "Initializing database files"
	mariadb-install-db --datadir="$data" --rpm --auth-root-authentication-method=normal --skip-test-db "${server[@]:1}" \
		--default-time-zone=SYSTEM --enforce-storage-engine= --skip-log-bin --expire-logs-days=0 \
		--loose-innodb_buffer_pool_load_at_startup=0 --loose-innodb_buffer_pool_dump_at_shutdown=0 >/dev/null
	start_temporary
	if [ -z "$MARIADB_INITDB_SKIP_TZINFO" ] && [ -d /usr/share/zoneinfo ]; then
		mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo 2>/dev/null | sql mysql
	fi
	if [ -n "$MARIADB_RANDOM_ROOT_PASSWORD" ]; then
		MARIADB_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
		export MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD=$MARIADB_ROOT_PASSWORD
		say Note "GENERATED ROOT PASSWORD: $MARIADB_ROOT_PASSWORD"
	fi
	create_accounts | sql mysql
	password=$MARIADB_ROOT_PASSWORD
	run_scripts
	say Note "Stopping temporary server"
	kill "$temporary"
	wait "$temporary"
	say Note "MariaDB init process done. Ready for start up."
}

[ "${1:0:1}" != - ] || set -- mariadbd "$@"
case $1 in
mariadbd | mysqld)
	server=("$@")
	for word; do
		case $word in -'?' | --help | --print-defaults | -V | --version) exec "$@" ;; esac
	done
	problem=$("$@" --verbose --help 2>&1 >/dev/null) || die "mariadbd failed while attempting to check config: $problem"
	data=$(setting_of datadir)
	data=${data%/}
	socket=$(setting_of socket)
	either ROOT_HOST ROOT_HOST
	MARIADB_ROOT_HOST=${MARIADB_ROOT_HOST:-%}
	either DATABASE DATABASE
	either USER USER
	either PASSWORD PASSWORD
	either ROOT_PASSWORD ROOT_PASSWORD
	either ALLOW_EMPTY_ROOT_PASSWORD ALLOW_EMPTY_PASSWORD
	either RANDOM_ROOT_PASSWORD RANDOM_ROOT_PASSWORD
	either INITDB_SKIP_TZINFO INITDB_SKIP_TZINFO
	mkdir -p "$data"
	if [ "$(id -u)" = 0 ]; then
		find "$data" "${socket%/*}" -maxdepth 0 ! -user mysql -exec chown mysql: {} +
		find "$data" ! -user mysql -exec chown mysql: {} +
		say Note "Switching to dedicated user 'mysql'"
		exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
	fi
	password=
	[ -d "$data/mysql" ] || initialise
	;;
esac
exec "$@"
