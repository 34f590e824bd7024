#!/usr/bin/env bash
# Installs the real programs the tests run against, from Debian's packages,
# when they are missing. It never fails the build: a test whose program is
# absent is reported as skipped by the test summary, and this script says why.
set -u

programs=(redis-server mosquitto mosquitto_pub haproxy promtool)
packages=(redis-server mosquitto mosquitto-clients haproxy prometheus)

# The browser is large, so it is installed for those who ask for it: deps.sh ui. Letters
# are drawn with the fonts that are there.
if [ "${1:-}" = ui ]; then
	programs+=(chromium)
	packages+=(chromium)
	[ -e /usr/share/fonts/truetype/dejavu ] || { programs+=("no font") && packages+=(fonts-dejavu-core); }
fi

# mosquitto, haproxy and redis live in sbin, which a user's PATH may not have.
PATH=$PATH:/usr/sbin:/usr/local/sbin

missing=()
for i in "${!programs[@]}"; do
	command -v "${programs[$i]}" >/dev/null 2>&1 || missing+=("${packages[$i]}")
done
if [ ${#missing[@]} -eq 0 ]; then
	echo "deps: all present (${programs[*]})"
	exit 0
fi

skip() {
	echo "deps: NOT installed: ${missing[*]} ($1); tests that need them will be reported as skipped"
	exit 0
}
command -v apt-get >/dev/null 2>&1 || skip "no apt-get here"
[ "$(id -u)" -eq 0 ] || skip "not root; run: sudo apt-get install ${missing[*]}"

# The packages would start their services, which then hold the default ports.
# policy-rc.d is Debian's switch for that; an existing one is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi

log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
echo "deps: installing ${missing[*]}"
if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
	tail -n 20 "$log"
	rm -f "$log"
	skip "apt-get failed, see above"
fi
rm -f "$log"

# Only what was installed just now: a service its owner runs is not ours to stop.
for p in "${missing[@]}"; do
	case $p in
	redis-server | mosquitto | haproxy | prometheus)
		if [ -d /run/systemd/system ]; then
			systemctl disable --now "$p" >/dev/null 2>&1 || echo "deps: could not disable service $p"
		elif [ -x "/etc/init.d/$p" ]; then
			"/etc/init.d/$p" stop >/dev/null 2>&1 || true
		fi
		;;
	esac
done
echo "deps: installed ${missing[*]}; their services are stopped"
