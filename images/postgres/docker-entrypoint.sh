#!/bin/bash
# First start: make the database cluster as the environment says, run what lies in
# /docker-entrypoint-initdb.d, then become the server. Later starts: become the server.
# The first server listens on no TCP port, so whoever waits for one does not meet it.
set -euo pipefail

die() {
	echo "docker-entrypoint: $*" >&2
	exit 1
}

# value_or_file NAME DEFAULT: export NAME from itself or from the file that NAME_FILE names.
value_or_file() {
	local name=$1 file=${1}_FILE value=$2
	if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
		die "both $name and $file are set; set one of them"
	fi
	if [ -n "${!name:-}" ]; then
		value=${!name}
	elif [ -n "${!file:-}" ]; then
		value=$(<"${!file}")
	fi
	export "$name=$value"
	unset "$file"
}

own_directories() {
	mkdir -p "$PGDATA" /var/run/postgresql
	chmod 00700 "$PGDATA" || :
	chmod 03775 /var/run/postgresql || :
	if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
		mkdir -p "$POSTGRES_INITDB_WALDIR"
		chmod 700 "$POSTGRES_INITDB_WALDIR"
	fi
	if [ "$(id -u)" = 0 ]; then
		find "$PGDATA" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} /var/run/postgresql \
			! -user postgres -exec chown postgres:postgres {} +
	fi
}

make_cluster() {
	local -a options=(--username="$POSTGRES_USER" --auth-local=trust)
	value_or_file POSTGRES_INITDB_ARGS ''
	# shellcheck disable=SC2206 # several options in one variable, as in the official image
	options+=(${POSTGRES_INITDB_ARGS:-})
	[ -z "${POSTGRES_INITDB_WALDIR:-}" ] || options+=(--waldir="$POSTGRES_INITDB_WALDIR")
	# A file of one empty line would be refused: with trust there may be no password.
	if [ -n "$POSTGRES_PASSWORD" ]; then
		initdb "${options[@]}" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
	else
		initdb "${options[@]}"
	fi
	printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}" \
		>>"$PGDATA/pg_hba.conf"
}

query() { PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" "$@"; }

run_files() {
	local file
	for file; do
		case $file in
		*.sh)
			echo "docker-entrypoint: $file"
			if [ -x "$file" ]; then
				"$file"
			else
				# shellcheck disable=SC1090 # whatever the user put there
				. "$file"
			fi
			;;
		*.sql)
			echo "docker-entrypoint: $file"
			query --dbname "$POSTGRES_DB" -f "$file"
			;;
		*.sql.gz)
			echo "docker-entrypoint: $file"
			gunzip -c "$file" | query --dbname "$POSTGRES_DB"
			;;
		*.sql.xz)
			echo "docker-entrypoint: $file"
			xzcat "$file" | query --dbname "$POSTGRES_DB"
			;;
		*) echo "docker-entrypoint: $file ignored" ;;
		esac
	done
}

# Since 18 the volume is above PGDATA: an older cluster in it must not be taken for none.
refuse_other_clusters() {
	[ "$PGDATA" = "/var/lib/postgresql/${PG_MAJOR:-}/docker" ] || return 0
	local other
	for other in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
		[ ! -s "$other/PG_VERSION" ] || die "there is a database of another version in $other"
	done
	! mountpoint -q /var/lib/postgresql/data ||
		die "/var/lib/postgresql/data is a volume, but the data of this version is in $PGDATA: mount it at /var/lib/postgresql"
}

initialise() {
	value_or_file POSTGRES_PASSWORD ''
	value_or_file POSTGRES_USER postgres
	value_or_file POSTGRES_DB "$POSTGRES_USER"
	if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
		die "the database has no superuser password; set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE"
	fi
	refuse_other_clusters
	make_cluster
	shift
	# Behind what was asked for: the last word counts.
	pg_ctl -D "$PGDATA" -w -o "$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")" start
	if [ "$POSTGRES_DB" != postgres ]; then
		query --dbname postgres --set name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
	fi
	shopt -s nullglob
	PGPASSWORD=$POSTGRES_PASSWORD run_files /docker-entrypoint-initdb.d/*
	pg_ctl -D "$PGDATA" -m fast -w stop
	echo "docker-entrypoint: the database is initialised"
}

asks_for_help() {
	local argument
	for argument; do
		case $argument in
		-'?' | --help | --describe-config | -V | --version) return 0 ;;
		esac
	done
	return 1
}

if [ "${1:0:1}" = - ]; then
	set -- postgres "$@"
fi
if [ "${1:-}" = postgres ] && ! asks_for_help "$@"; then
	own_directories
	if [ "$(id -u)" = 0 ]; then
		export HOME=/var/lib/postgresql
		exec setpriv --reuid=postgres --regid=postgres --init-groups "${BASH_SOURCE[0]}" "$@"
	fi
	if [ ! -s "$PGDATA/PG_VERSION" ]; then
		initialise "$@"
	fi
fi
exec "$@"
