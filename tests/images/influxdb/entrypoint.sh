#!/bin/bash
# As the official image does: options alone mean influxd, and the first start sets it up.
set -e
if [ "${1:0:1}" = - ]; then
	set -- influxd "$@"
fi
if [ "$1" = influxd ]; then
	/init-influxdb.sh "${@:2}"
fi
exec "$@"
