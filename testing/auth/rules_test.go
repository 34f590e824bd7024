package auth

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

const rules = `
auth:
  sources: [users_file]
  users_file: DIR/users
  acl:
    rules:
      - {effect: deny, action: all, topics: ['+/secret/#']}
      - {effect: allow, action: all, topics: ['%u/#'], users: [bob, ann]}
      - {effect: allow, action: publish, topics: ['low/#'], max_qos: 0, retain: false}
      - {effect: allow, action: all, topics: ['team/%g/#'], groups: [red]}
`

// with is the section with a users file, and more keys.
func with(keys string) string { return usersFile[:len(usersFile)-2] + ", " + keys + "}\n" }

func people(t *testing.T) map[string]string {
	return map[string]string{"users": users(t, [3]string{"bob", "b", "red"}, [3]string{"ann", "a", ""})}
}

func TestRules(t *testing.T) {
	t.Parallel()
	b := serve(t, plain+rules, people(t))
	bob, ann := b.Connect(t, as("bob", "b")), b.Connect(t, as("ann", "a"))
	for filter, code := range map[string]byte{
		"bob/a": 1, "team/red/x": 1, "$share/g/bob/b": 1, "$exclusive/bob/c": 1, "bob/+/x": notAuthorized, // it matches bob/secret/x
		"#": notAuthorized, "ann/x": notAuthorized, "$share/g/ann/x": notAuthorized, "team/+/x": notAuthorized, "low/x": notAuthorized,
	} {
		if got := subscribe(bob, filter); got != code {
			t.Errorf("subscribe to %s: %#x, want %#x", filter, got, code)
		}
	}
	for _, p := range []struct {
		Publish
		code byte
	}{
		{Publish{Topic: "bob/z", QoS: 1}, 0}, {Publish{Topic: "bob/z", QoS: 2}, 0}, {Publish{Topic: "bob/secret/z", QoS: 1}, notAuthorized},
		{Publish{Topic: "ann/z", QoS: 2}, notAuthorized}, {Publish{Topic: "low/z", QoS: 1}, notAuthorized},
		{Publish{Topic: "$delayed/0/ann/z", QoS: 1}, notAuthorized}, {Publish{Topic: "bob/z", QoS: 1, Retain: true}, 0},
	} {
		if ack := bob.Publish(p.Publish); ack.Code != p.code && (p.code != 0 || ack.Code != 0x10) {
			t.Errorf("publish to %s: %v, want %#x", p.Topic, ack, p.code)
		}
	}
	if got := subscribe(ann, "team/red/x"); got != notAuthorized {
		t.Errorf("ann is in no team: %#x", got)
	}
	// A delayed message is judged by the group too, when it is due.
	bob.Publish(Publish{Topic: "$delayed/1/team/red/x", Payload: "later", QoS: 1})
	bob.ExpectMessage("team/red/x", "later")

	b.refused(Connect{User: "ann", Pass: "a", Will: &Will{Topic: "bob/x"}}, notAuthorized)
	will := b.Connect(t, Connect{User: "ann", Pass: "a", Will: &Will{Topic: "ann/x", Payload: "gone"}})
	ann.Subscribe("ann/x", 1)
	will.Drop()
	ann.ExpectMessage("ann/x", "gone")
}

// With mosquitto's file subscriptions are accepted and deliveries judged, retained
// messages too.
func TestAnACLFileOfMosquitto(t *testing.T) {
	t.Parallel()
	files := people(t)
	files["acl"] = "user bob\ntopic readwrite a/#\nuser ann\ntopic write #\n"
	b := serve(t, plain+"auth: {sources: [users_file], users_file: DIR/users, acl: {file: DIR/acl}}\n", files)
	ann := b.Connect(t, as("ann", "a"))
	for _, topic := range []string{"a/kept", "b/kept"} {
		ann.Publish(Publish{Topic: topic, Payload: "r", QoS: 1, Retain: true})
	}
	bob := b.Connect(t, as("bob", "b"))
	if code := bob.Subscribe("#", 1); code != 1 {
		t.Fatalf("%#x", code)
	}
	bob.ExpectMessage("a/kept", "r")
	ann.Publish(Publish{Topic: "b/x", QoS: 1})
	ann.Publish(Publish{Topic: "a/x", QoS: 1})
	bob.ExpectMessage("a/x", "")
	bob.ExpectNothing()
	if ack := bob.Publish(Publish{Topic: "b/x", QoS: 1}); ack.Code != notAuthorized {
		t.Errorf("%v", ack)
	}
}

// What a session was allowed before a restart it keeps, though its groups are not
// known until its client comes back.
func TestASessionOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	conf := plain + rules + "persistence: disk\ndata: DIR/data\n"
	b := serve(t, conf, people(t))
	session := Connect{ID: "s", User: "bob", Pass: "b", Keep: true, Props: [][]byte{Prop(PSessionExpiry, U32(3600))}}
	bob := b.Connect(t, session)
	bob.Subscribe("team/red/x", 1)
	bob.Leave()
	stop(t, b.node)
	b.start(conf)
	b.Connect(t, as("bob", "b")).Publish(Publish{Topic: "team/red/x", Payload: "kept", QoS: 1})
	bob = b.Connect(t, session)
	bob.ExpectMessage("team/red/x", "kept")
	stop(t, b.node)

	// A rule that is gone takes the subscription when the client is back.
	b.start(plain + with("acl: {rules: [{effect: allow, action: all, topics: [other]}]}") + "persistence: disk\ndata: DIR/data\n")
	bob = b.Connect(t, session)
	bob.Barrier()
	if ack := bob.Unsubscribe("team/red/x"); ack.Codes[0] != 0x11 {
		t.Errorf("it was there: %v", ack)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	b := serve(t, plain+rules, people(t))
	bob, ann := b.Connect(t, as("bob", "b")), b.Connect(t, as("ann", "a"))
	bob.Subscribe("bob/x", 1)
	ann.Subscribe("ann/x", 1)

	// Nothing of a bad one is taken.
	b.write("acl", "topc a\n")
	for _, bad := range []string{
		with("acl: {file: DIR/acl}"), "auth: {sources: [users_file], users_file: DIR/none}\n", with("bans: DIR/acl"),
		with("acl: {rules: [{effect: allow, action: all, topics: ['a/#/b']}]}"), "auth: {sources: [jwt], jwt: {secret: short}}\n",
	} {
		if err := b.reload(plain + bad); err == nil {
			t.Errorf("taken: %s", bad)
		}
	}
	bob.Publish(Publish{Topic: "bob/x", QoS: 1})
	bob.ExpectMessage("bob/x", "")
	if ack := bob.Publish(Publish{Topic: "new", QoS: 1}); ack.Code != notAuthorized {
		t.Errorf("%v", ack)
	}

	// New rules hold for who is connected: ann loses a subscription, or is disconnected.
	next := with("acl: {rules: [{effect: allow, action: all, topics: ['bob/#', new], users: [bob]}]}")
	b.mustReload(plain + strings.Replace(next, "}\n", ", on_reload: subscriptions}\n", 1))
	ann.Barrier()
	if ack := ann.Unsubscribe("ann/x"); ack.Codes[0] != 0x11 {
		t.Errorf("ann keeps the subscription: %v", ack)
	}
	if ack := bob.Publish(Publish{Topic: "new", QoS: 1}); ack.Code != 0x10 {
		t.Errorf("%v", ack)
	}
	b.mustReload(plain + usersFile)
	ann.Subscribe("ann/x", 1)
	b.mustReload(plain + next)
	ann.ExpectCode(DISCONNECT, notAuthorized)
	bob.Barrier()

	// A ban, and a user who is gone.
	ann = b.Connect(t, as("ann", "a"))
	b.write("bans", "user ann # for a test\n")
	b.mustReload(plain + with("bans: DIR/bans"))
	ann.ExpectCode(DISCONNECT, notAuthorized)
	b.refused(as("ann", "a"), banned)
	bob.Barrier()
	b.write("users", users(t, [3]string{"ann", "a", ""}))
	b.write("bans", "")
	b.mustReload(plain + usersFile)
	bob.ExpectCode(DISCONNECT, notAuthorized)
	b.refused(as("bob", "b"), badCredentials)
	b.Connect(t, as("ann", "a"))
}

// The will of a client is judged again when it is sent.
func TestAWillByNewRules(t *testing.T) {
	t.Parallel()
	b := serve(t, plain, nil)
	dies := b.Connect(t, Connect{Will: &Will{Topic: "w", Payload: "gone", QoS: 1}})
	watch := b.Connect(t, Connect{})
	watch.Subscribe("w", 1)
	b.mustReload(plain + "auth: {acl: {rules: [{effect: allow, action: subscribe, topics: ['#']}]}}\n")
	dies.Drop()
	Poll(t, 0, func() bool { return b.node.Stats().Snapshot().Connections == 1 })
	watch.ExpectNothing()
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := serve(t, plain+with("cache_ttl: 0, backoff: {pair: {free: 2, first: 1h, max: 1h}}"), people(t))
	for range 3 {
		b.refused(as("bob", "wrong"), badCredentials)
	}
	b.refused(as("bob", "b"), badCredentials)
	b.refused(Connect{Version: V311, User: "bob", Pass: "b"}, 4)
	b.refused(Connect{User: "nobody", Pass: "b"}, badCredentials)
	b.Connect(t, as("ann", "a"))
	if n := b.node.AuthCounters(); n.BackedOff.Load() != 2 {
		t.Errorf("%d were backed off", n.BackedOff.Load())
	}
}

func TestNobodyGetsInByDefault(t *testing.T) {
	t.Parallel()
	b := serve(t, plain, nil)
	b.Connect(t, Connect{})
	b.Connect(t, as("anybody", "anything")) // on this host, as nothing was said
	for conf, ok := range map[string]bool{
		"listeners: [{url: 'tcp://0.0.0.0:0'}]\n":                                                                                            false,
		"listeners: [{url: 'tcp://0.0.0.0:0', anonymous: true}]\n":                                                                           true,
		"listeners: [{url: 'tcp://0.0.0.0:0'}]\nauth: {sources: [jwt], jwt: {secret: " + tokenKey + "}}\n":                                   true,
		"listeners: [{url: 'tcp://0.0.0.0:0'}, {url: 'tcp://0.0.0.0:1', auth: {sources: [jwt]}}]\nauth: {jwt: {secret: " + tokenKey + "}}\n": false,
	} {
		if _, err := b.load(conf); (err == nil) != ok {
			t.Errorf("%s: %v", conf, err)
		}
	}
	// A source on one listener does not open or close the other.
	b = serve(t, "listeners: [{name: a, url: 'tcp://127.0.0.1:0', auth: {sources: [users_file]}}, {name: b, url: 'tcp://127.0.0.1:0'}]\nauth: {users_file: DIR/users}\n", people(t))
	b.refused(Connect{}, notAuthorized)
	b.Connect(t, as("bob", "b"))
	b.TCP = b.node.Addrs()[1]
	b.Connect(t, Connect{})
}

// The program takes a reload by signal, and tells what is wrong without harm.
func TestTheBinary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bin := dir + "/skein"
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/skein").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	passwd := exec.Command(bin, "passwd", "--batch", dir+"/users")
	passwd.Stdin = strings.NewReader("bob:builder\n")
	if out, err := passwd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conf := "listeners: [{url: 'unix://" + dir + "/s'}]\npersistence: none\nauth: {sources: [users_file], users_file: " + dir + "/users}\n"
	if err := os.WriteFile(dir+"/c.yaml", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p := StartCmd(t, exec.Command(bin, "-c", dir+"/c.yaml"))
	p.WaitOutput("msg=ready")
	b := &Broker{TCP: "unix://" + dir + "/s"}
	bob := b.Connect(t, as("bob", "builder"))
	if err := os.WriteFile(dir+"/users", []byte("bob:nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hangUp(t, p)
	p.WaitOutput("nothing changed")
	bob.Barrier()
	if err := os.WriteFile(dir+"/users", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hangUp(t, p)
	p.WaitOutput("configuration reloaded")
	bob.ExpectCode(DISCONNECT, notAuthorized)
}
