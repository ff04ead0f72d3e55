#!/bin/bash
# What the upstream image does with POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and PGDATA: an
# empty PGDATA gets a cluster, a full one is left alone; then the server takes over this process.
set -euo pipefail

[ "${1:-}" = postgres ] || exec "$@"

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  [ -n "${POSTGRES_PASSWORD:-}" ] || { echo "error: POSTGRES_PASSWORD is not set, and the database is empty" >&2; exit 1; }
  # initdb leaves a half-made folder behind when it is ended; it starts from nothing next time.
  making=$PGDATA.making
  rm -rf "$making"
  printf '%s\n' "$POSTGRES_PASSWORD" |
    initdb --pgdata="$making" --username="$user" --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --pwfile=/dev/stdin
  printf 'host all all all scram-sha-256\n' >>"$making/pg_hba.conf"
  sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" "$making/postgresql.conf"
  if [ "$database" != postgres ]; then
    printf 'CREATE DATABASE "%s";\n' "${database//\"/\"\"}" | postgres --single -D "$making" postgres >/dev/null
  fi
  rm -rf "$PGDATA"
  mv "$making" "$PGDATA"
fi
exec "$@"
