#!/bin/sh
# As the official image does: options alone mean valkey-server, root becomes valkey, the working
# directory is where the data is.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- valkey-server "$@"
fi
if [ "$1" = valkey-server ] && [ "$(id -u)" = 0 ]; then
	find . \! -user valkey -exec chown valkey '{}' +
	exec setpriv --reuid=valkey --regid=valkey --clear-groups -- "$0" "$@"
fi
if [ "$1" = valkey-server ]; then
	set -- "$@" --protected-mode no --bind 0.0.0.0 --daemonize no --logfile ""
fi
exec "$@"
