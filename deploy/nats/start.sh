#!/bin/sh
# nats-server in a container: the passwords in the files of /credentials become the variables nats.conf asks for.
set -eu
for file in /credentials/*; do
    name=$(basename "$file" | tr a-z A-Z)
    export "MODELOG_NATS_PASSWORD_$name=$(cat "$file")"
done
exec nats-server -c /etc/nats/nats.conf -a 0.0.0.0 -p 4222 -m 8222 -sd /data
