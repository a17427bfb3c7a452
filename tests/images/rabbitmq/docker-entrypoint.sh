#!/bin/bash
# As the official image does: root becomes rabbitmq, and a host name with a domain makes a long node name.
set -euo pipefail
if [[ "$1" == rabbitmq* ]] && [ "$(id -u)" = 0 ]; then
	if [ "$1" = rabbitmq-server ]; then
		find /var/lib/rabbitmq \! -user rabbitmq -exec chown rabbitmq '{}' +
	fi
	exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups -- "$0" "$@"
fi
host=$(cat /proc/sys/kernel/hostname)
if [ -z "${RABBITMQ_USE_LONGNAME:-}" ] && [ "$host" != "${host%%.*}" ]; then
	export RABBITMQ_USE_LONGNAME=true
fi
exec "$@"
