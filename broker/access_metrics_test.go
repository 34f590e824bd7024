package broker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
)

// Logins are told to Prometheus by source and reason, also before the first.
func TestMetricsTellOfLogins(t *testing.T) {
	c := operated(t)
	file := filepath.Join(t.TempDir(), "users")
	const bob = "bob:$7$101$Jw+8ua8K6xovjMLI$uizfMjXv7PQSHlDUmu6IbOylNDD2Td1UpKh6YcqDKfJiDSSl1p93oiNEWkzh/em3aqI1FcsK5raQJRnbz+Ua1Q==\n" // "secret"
	if err := os.WriteFile(file, []byte(bob), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Auth.Sources, c.Auth.UsersFile = []string{config.SourceUsersFile}, file
	n, b := start(t, c, broker.Options{Version: "v"})
	scrape := func() string {
		status, body := ask(t, n, "GET", "/metrics", "")
		if status != 200 {
			t.Fatal(status)
		}
		return body
	}
	if s := scrape(); !strings.Contains(s, "\nskein_passwords_hashed_total 0\n") {
		t.Error("no passwords_hashed before the first login")
	}
	if _, ack := b.TryConnect(t, harness.Connect{User: "eve", Pass: "wrong"}); ack.Code == 0 {
		t.Fatal("an unknown user came in")
	}
	b.Connect(t, harness.Connect{User: "bob", Pass: "secret"})
	s := scrape()
	for _, want := range []string{
		`skein_logins_total{reason="credentials",source="none"} 1`, `skein_logins_total{reason="allowed",source="users_file"} 1`,
	} {
		if !strings.Contains(s, "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}
