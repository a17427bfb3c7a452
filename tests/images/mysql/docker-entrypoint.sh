#!/bin/bash
# The habits of the official MySQL image: what it reads, when it initialises, how it becomes the server.
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

quoted() {
	local text=${1//\\/\\\\}
	printf %s "${text//\'/\\\'}"
}

setting_of() {
	"${server[@]}" --verbose --help 2>/dev/null | awk -v name="$1" '/^[^ \t]/ && $1 == name { sub(/^[^ \t]+[ \t]+/, ""); print; exit }'
}

# The client, as root over the socket. The password comes in a file that is a pipe: not in arguments.
sql() {
	mysql --defaults-extra-file=<(printf '[client]\npassword="%s"\n' "${password//\\/\\\\}") --protocol=socket \
		--socket="$socket" -uroot "$@"
}

start_temporary() {
	"${server[@]}" --skip-networking --default-time-zone=SYSTEM --socket="$socket" --mysqlx=OFF &
	temporary=$!
	for _ in {1..600}; do
		sql -e 'SELECT 1' >/dev/null 2>&1 && return
		kill -0 "$temporary" 2>/dev/null || die "the temporary server ended"
		sleep 0.1
	done
	die "Unable to start server."
}

create_accounts() {
	local new
	new=$(quoted "$MYSQL_ROOT_PASSWORD")
	echo "SET @@SESSION.SQL_LOG_BIN=0;"
	if [ -n "$MYSQL_ROOT_HOST" ] && [ "$MYSQL_ROOT_HOST" != localhost ]; then
		echo "CREATE USER root@'$MYSQL_ROOT_HOST' IDENTIFIED BY '$new';"
		echo "GRANT ALL ON *.* TO root@'$MYSQL_ROOT_HOST' WITH GRANT OPTION;"
	fi
	echo "ALTER USER root@localhost IDENTIFIED BY '$new';"
	echo "GRANT ALL ON *.* TO root@localhost WITH GRANT OPTION;"
	echo "FLUSH PRIVILEGES;"
	echo "DROP DATABASE IF EXISTS test;"
	if [ -n "$MYSQL_DATABASE" ]; then
		echo "CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;"
	fi
	if [ -n "$MYSQL_USER" ] && [ -n "$MYSQL_PASSWORD" ]; then
		echo "CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$(quoted "$MYSQL_PASSWORD")';"
		[ -z "$MYSQL_DATABASE" ] || echo "GRANT ALL ON \`${MYSQL_DATABASE//_/\\_}\`.* TO '$MYSQL_USER'@'%';"
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
		*.sql) say Note "running $file" && sql ${MYSQL_DATABASE:+-D "$MYSQL_DATABASE"} <"$file" ;;
		*.sql.gz) say Note "running $file" && gunzip -c "$file" | sql ${MYSQL_DATABASE:+-D "$MYSQL_DATABASE"} ;;
		*) say Warn "ignoring $file" ;;
		esac
	done
}

initialise() {
	if [ -z "$MYSQL_ROOT_PASSWORD$MYSQL_ALLOW_EMPTY_PASSWORD$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
		die "Database is uninitialized and password option is not specified: set one of MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD and MYSQL_RANDOM_ROOT_PASSWORD"
	fi
	if [ "$MYSQL_USER" = root ]; then
		die 'MYSQL_USER="root": MYSQL_USER and MYSQL_PASSWORD are for a regular user and cannot be used for root'
	fi
	say Note "Initializing database files"
	"${server[@]}" --initialize-insecure --default-time-zone=SYSTEM --autocommit=1
	start_temporary
	if [ -z "$MYSQL_INITDB_SKIP_TZINFO" ] && [ -d /usr/share/zoneinfo ]; then
		mysql_tzinfo_to_sql /usr/share/zoneinfo 2>/dev/null | sql mysql
	fi
	if [ -n "$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
		MYSQL_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
		export MYSQL_ROOT_PASSWORD
		say Note "GENERATED ROOT PASSWORD: $MYSQL_ROOT_PASSWORD"
	fi
	create_accounts | sql mysql
	password=$MYSQL_ROOT_PASSWORD
	run_scripts
	[ -z "$MYSQL_ONETIME_PASSWORD" ] || sql -e "ALTER USER root@'${MYSQL_ROOT_HOST:-localhost}' PASSWORD EXPIRE"
	say Note "Stopping temporary server"
	kill "$temporary"
	wait "$temporary"
	say Note "MySQL init process done. Ready for start up."
}

[ "${1:0:1}" != - ] || set -- mysqld "$@"
if [ "$1" = mysqld ]; then
	server=("$@")
	for word; do
		case $word in -'?' | --help | --print-defaults | -V | --version) exec "$@" ;; esac
	done
	if [ "$(id -u)" = 0 ]; then
		problem=$("$@" --verbose --help 2>&1 >/dev/null) || die "mysqld failed while attempting to check config: $problem"
		data=$(setting_of datadir)
		mkdir -p "$data"
		find "$data" ! -user mysql -exec chown mysql: {} +
		say Note "Switching to dedicated user 'mysql'"
		exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
	fi
	data=$(setting_of datadir)
	data=${data%/}
	socket=$(setting_of socket)
	for name in ROOT_HOST DATABASE USER PASSWORD ROOT_PASSWORD; do value_of MYSQL_$name; done
	MYSQL_ROOT_HOST=${MYSQL_ROOT_HOST:-%}
	password=
	[ -d "$data/mysql" ] || initialise
fi
exec "$@"
