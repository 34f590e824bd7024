#!/usr/bin/env bash
# Three nodes that are one broker, on this host's loopback address: redis-server, three
# skein and haproxy from Debian's packages, without containers, for a person to try. Ctrl-C
# ends them all, each by its own id, and removes what they kept. `make cluster` runs it.
#
# Ports are variables: MQTT, WS, HTTP, STATS (of HAProxy), REDIS, and NODES, from which on
# the nodes have 40. SKEIN is a binary to use instead of one that is built here.
set -euo pipefail
set -m # each program has a group of its own: Ctrl-C reaches this script alone

here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/usr/local/sbin
: "${MQTT:=1883}" "${WS:=8080}" "${HTTP:=8083}" "${STATS:=8404}" "${REDIS:=6390}" "${NODES:=1900}"

for program in redis-server redis-cli haproxy; do
	command -v "$program" >/dev/null || { echo "cluster: $program is missing: apt-get install redis-server haproxy" >&2; exit 1; }
done

dir=$(mktemp -d)
pids=() # in the order in which they are ended: nodes, haproxy, redis

# stop ends what was started, and waits for it: nodes hand their sessions over, so Redis is
# the last. A program that does not end by itself is killed.
stop() {
	trap - EXIT INT TERM HUP
	echo "cluster: stopping"
	exec 2>/dev/null # bash tells of every program that ends
	for pid in "${pids[@]}"; do
		kill -TERM "$pid" 2>/dev/null || continue # it has ended before
		for _ in $(seq 150); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 0' INT TERM HUP

# await waits until a command succeeds, for twenty seconds.
await() {
	local what=$1
	shift
	for _ in $(seq 200); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	echo "cluster: $what; the last lines of $dir:" >&2
	tail -n 5 "$dir"/*.log >&2
	exit 1
}

skein=${SKEIN:-$dir/skein}
if [ -z "${SKEIN:-}" ]; then
	echo "cluster: building skein"
	(cd "$here/.." && go build -o "$dir/skein" ./cmd/skein)
fi

mkdir "$dir/redis"
redis-server "$here/redis.conf" --bind 127.0.0.1 --port "$REDIS" --dir "$dir/redis" --pidfile '' >"$dir/redis.log" 2>&1 &
redis=$!
pids=("$redis")
await "Redis does not answer at 127.0.0.1:$REDIS" redis-cli -h 127.0.0.1 -p "$REDIS" ping
kill -0 "$redis" 2>/dev/null || { echo "cluster: another Redis is at 127.0.0.1:$REDIS" >&2; exit 1; }

# Each node has a port for you, and two that take the PROXY protocol from HAProxy.
commands=()
nodes=()
for i in 1 2 3; do
	cat >"$dir/skein$i.yaml" <<-END
		node: {name: skein$i}
		listeners:
		  - {name: direct, url: "tcp://127.0.0.1:$((NODES + i))"}
		  - {name: mqtt, url: "tcp://127.0.0.1:$((NODES + 10 + i))", proxy: {enabled: true, trusted: [127.0.0.1]}}
		  - {name: websocket, url: "ws://127.0.0.1:$((NODES + 20 + i))/mqtt", proxy: {enabled: true, trusted: [127.0.0.1]}}
		data: $dir/data$i
		drain_rate: 1000
	END
	export "NODE${i}_MQTT=127.0.0.1:$((NODES + 10 + i))" "NODE${i}_WS=127.0.0.1:$((NODES + 20 + i))"
	export "NODE${i}_HTTP=127.0.0.1:$((NODES + 30 + i))" "NODE${i}_HTTP_PORT=$((NODES + 30 + i))"
	command=("$skein" --config "$dir/skein$i.yaml" --redis "redis://127.0.0.1:$REDIS/0" --http "127.0.0.1:$((NODES + 30 + i))")
	"${command[@]}" >"$dir/skein$i.log" 2>&1 &
	nodes+=($!)
	pids=("${nodes[@]}" "$redis")
	commands+=("${command[*]}")
done
for i in 1 2 3; do
	await "skein$i is not ready" "$skein" health --ready --http "127.0.0.1:$((NODES + 30 + i))"
done

# A connection is two descriptors of HAProxy.
files=$(ulimit -n)
[ "$files" != unlimited ] && [ "$files" -lt 100000 ] || files=100000
MAXCONN=$(((files - 500) / 2)) MQTT_BIND=127.0.0.1:$MQTT WS_BIND=127.0.0.1:$WS HTTP_BIND=127.0.0.1:$HTTP STATS_BIND=127.0.0.1:$STATS \
	haproxy -db -f "$here/haproxy.cfg" >"$dir/haproxy.log" 2>&1 &
pids=("${nodes[@]}" $! "$redis")
await "HAProxy does not reach the nodes" "$skein" health --http "127.0.0.1:$HTTP"

cat <<END

cluster: ready. HAProxy is at 127.0.0.1:$MQTT, ws://127.0.0.1:$WS/mqtt;
the dashboard at http://127.0.0.1:$HTTP/, what HAProxy sees at http://127.0.0.1:$STATS/.
The nodes themselves are at 127.0.0.1:$((NODES + 1)), $((NODES + 2)) and $((NODES + 3)). Try, from another terminal:

  mosquitto_sub -p $((NODES + 1)) -i bird -c -q 1 -t 'a/#' -E        # a session, at the first node
  mosquitto_pub -p $((NODES + 2)) -q 1 -t a/b -m 'for the bird'      # published at the second
  kill -9 ${nodes[0]}                                           # the first node dies
  mosquitto_sub -p $((NODES + 3)) -i bird -c -q 1 -t 'a/#' -C 1      # the message is at the third

The first node comes back with:
  ${commands[0]}

Logs are in $dir. Ctrl-C ends everything.
END

# It returns at a signal, and when all have ended; one that ends alone is part of the trial.
wait
