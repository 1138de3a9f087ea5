#!/usr/bin/env bash
# Shows an outage of Redis on one machine: two daemons share a Redis, which is
# killed and started again. Everything is as it is by default, but for addresses
# and the directory. Needs redis-server and curl; leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."

redis_port=16379
a=127.0.0.1:18420
b=127.0.0.1:18430
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT

say() { printf '\n%s\n' "$*"; }

# call DAEMON METHOD JSON prints the reply.
call() {
	curl -s -m 5 -w '\n' -H 'Content-Type: application/json' -d "$3" "http://$1/perdure.v1.SessionService/$2"
}

start_redis() {
	redis-server --port $redis_port --bind 127.0.0.1 --dir "$dir" --appendonly yes --save '' >"$dir/redis.log" 2>&1 &
	redis=$!
}

start_daemon() {
	REDIS_URL=redis://127.0.0.1:$redis_port PERDURE_DATA_DIR=$dir/data \
		PERDURE_LISTEN=$1 "$dir/perdure" serve >"$dir/$1.out" 2>"$dir/$1.log" &
	until curl -sf "http://$1/readyz" >/dev/null; do sleep 0.1; done
}

# await DAEMON STATE waits until failover is in the state.
await() {
	until curl -s "http://$1/healthz" | grep "\"state\":\"$2\"" >/dev/null; do sleep 0.1; done
}

# create DAEMON COUNT prints the ids of new sessions.
create() {
	for n in $(seq "$2"); do
		call "$1" CreateSession "{\"userId\":\"user-$n\"}" | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p'
	done
}

# alive DAEMON FILE counts the sessions of a list that can be read.
alive() {
	local count=0 id
	while read -r id; do
		if call "$1" GetSession "{\"id\":\"$id\"}" | grep '"userId"' >/dev/null; then count=$((count + 1)); fi
	done <"$2"
	echo "$count"
}

go build -o "$dir/perdure" ./cmd/perdure
start_redis
start_daemon $a
start_daemon $b
say "Redis and two daemons are up. 200 people log in through the first."
create $a 200 >"$dir/before"
echo "readable through the first: $(alive $a "$dir/before"), through the second: $(alive $b "$dir/before")"

say "Redis is killed with -9."
kill -9 "$redis"
wait "$redis" 2>/dev/null || true
echo "readable through the first: $(alive $a "$dir/before"), through the second: $(alive $b "$dir/before")"
curl -s "http://$a/readyz?verbose"

say "200 more log in, 50 of the first log out, while Redis is down: half through each daemon."
{ create $a 100; create $b 100; } >"$dir/during"
head -50 "$dir/before" >"$dir/out"
n=0
while read -r id; do
	n=$((n + 1))
	if ((n % 2)); then daemon=$a; else daemon=$b; fi
	call $daemon DeleteSession "{\"id\":\"$id\"}" >/dev/null
done <"$dir/out"
curl -s "http://$a/readyz?verbose" | grep redis

say "Redis is started again."
back=$(date +%s%N)
start_redis
await $a healthy
await $b healthy
echo "both daemons are healthy again after $((($(date +%s%N) - back) / 1000000)) ms, with all that was written merged"
tail -n +51 "$dir/before" >"$dir/kept"
for daemon in $a $b; do
	echo "through $daemon: of 200 logged in during the outage $(alive $daemon "$dir/during") are readable," \
		"of the 150 before it $(alive $daemon "$dir/kept"), and of the 50 who logged out $(alive $daemon "$dir/out")"
done
