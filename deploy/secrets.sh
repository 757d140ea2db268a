#!/bin/sh
# Makes the passwords that compose.yaml mounts, where there are none yet. Their folder is its owner's alone; the files are
# readable, because in a container each is mounted by itself and read by another user.
set -eu

folder="$(dirname "$0")/secrets"
mkdir -p "$folder"
chmod 700 "$folder"
for name in clickhouse_password reader_password grafana_password; do
    if [ ! -e "$folder/$name" ]; then
        head -c 32 /dev/urandom | base64 | tr -d '+/=\n' >"$folder/$name"
        chmod 444 "$folder/$name"
    fi
done
