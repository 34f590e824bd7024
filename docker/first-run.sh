#!/bin/sh
# Makes what compose.yaml needs and no two installations share: passwords, tokens, the users
# of MQTT and of Redis. What is there already stays. Nothing is sent anywhere.
#
#   ./first-run.sh             builds the image, makes secrets/
#   SKEIN=./skein ./first-run.sh DIR    with that binary instead of an image, into DIR
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/secrets}

# Containers run as users of their own, who must be able to read what is mounted; on this
# host the directory keeps everybody else out.
mkdir -p "$dir"
chmod 700 "$dir"
dir=$(cd "$dir" && pwd)

random() { # 192 bits, in hexadecimal digits
	head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

hash_of() { # SHA-256 of a file
	if command -v sha256sum >/dev/null 2>&1; then
		sha256sum <"$1"
	else
		shasum -a 256 <"$1"
	fi | cut -d ' ' -f 1
}

# keep writes standard input to a secret, whole or not at all.
keep() {
	cat >"$dir/.new"
	test -s "$dir/.new"
	chmod 444 "$dir/.new"
	mv "$dir/.new" "$dir/$1"
	echo "made $dir/$1"
}

for name in mqtt_password redis_password api_write api_read grafana_password; do
	test -s "$dir/$name" || random | keep "$name"
done

# Redis: the default user is off, and skein may do what it needs with its own keys. Redis
# is given the hash alone.
test -s "$dir/redis_acl" || keep redis_acl <<END_ACL
user default off
user skein on #$(hash_of "$dir/redis_password") resetkeys ~skein:* resetchannels &skein:* +@all -@dangerous -@admin +info +config|get
END_ACL

# The first user of MQTT, demo. `skein passwd secrets/users NAME` adds others.
if ! test -s "$dir/users"; then
	if test -n "${SKEIN:-}"; then
		passwd() { "$SKEIN" passwd --batch "$dir/.users"; }
	else
		(cd "$here" && docker compose build skein1)
		passwd() {
			docker run --rm --interactive --network none --user "$(id -u):$(id -g)" --volume "$dir:/secrets" \
				skein:local passwd --batch /secrets/.users
		}
	fi
	rm -f "$dir/.users"
	printf 'demo:%s\n' "$(cat "$dir/mqtt_password")" | passwd
	keep users <"$dir/.users"
	rm -f "$dir/.users"
fi

cat <<END_TEXT

Secrets are in $dir. Now:
  docker compose up --detach --wait
  mosquitto_sub -u demo -P "\$(cat $dir/mqtt_password)" -t '#' -v
The dashboard http://127.0.0.1:8083/ asks for the token in $dir/api_write;
Grafana http://127.0.0.1:3000/ knows admin with the password in $dir/grafana_password.
END_TEXT
