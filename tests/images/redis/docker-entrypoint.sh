#!/bin/sh
# As the official image does: options alone mean redis-server, root becomes redis, the working
# directory is where the data is.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- redis-server "$@"
fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
	find . \! -user redis -exec chown redis '{}' +
	exec setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
fi
if [ "$1" = redis-server ]; then
	set -- "$@" --protected-mode no --bind 0.0.0.0 --daemonize no --logfile ""
fi
exec "$@"
