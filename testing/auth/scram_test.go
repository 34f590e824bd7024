package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// scram is the client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677).
type scram struct{ user, pass, nonce string }

func (s scram) first() string { return "n,," + s.bare() }
func (s scram) bare() string  { return "n=" + s.user + ",r=" + s.nonce }

// final answers the server's challenge, and says how the server must answer.
func (s scram) final(t *testing.T, challenge string) (answer, want string) {
	t.Helper()
	parts := strings.Split(challenge, ",")
	if len(parts) != 3 || !strings.HasPrefix(parts[0], "r="+s.nonce) {
		t.Fatalf("challenge %q", challenge)
	}
	salt, err := base64.StdEncoding.DecodeString(parts[1][2:])
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(parts[2][2:])
	if err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha256.New, s.pass, salt, n, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	mac := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	without := "c=biws," + parts[0]
	message := s.bare() + "," + challenge + "," + without
	key := mac(salted, "Client Key")
	stored := sha256.Sum256(key)
	proof := mac(stored[:], message)
	for i := range proof {
		proof[i] ^= key[i]
	}
	signature := mac(mac(salted, "Server Key"), message)
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof), "v=" + base64.StdEncoding.EncodeToString(signature)
}

func method(name, data string) [][]byte {
	return [][]byte{Prop(PAuthMethod, Str(name)), Prop(PAuthData, Str(data))}
}

const sha = "SCRAM-SHA-256"

// login carries the exchange on from the challenge, and returns the last answer.
func (s scram) login(t *testing.T, c *Client, kind byte) Packet {
	t.Helper()
	p := c.ExpectCode(AUTH, 0x18)
	answer, want := s.final(t, p.Props.Text(PAuthData))
	c.Send(Auth(0x18, method(sha, answer)...))
	p = c.Next()
	if p.Code == 0 && (p.Type != kind || p.Props.Text(PAuthData) != want || p.Props.Text(PAuthMethod) != sha) {
		t.Fatalf("got %v, want a packet %d with %s", p, kind, want)
	}
	return p
}

func TestScram(t *testing.T) {
	t.Parallel()
	b := serve(t, plain+usersFile, map[string]string{"users": users(t, [3]string{"bob", "builder", ""}, [3]string{"ann", "x", ""})})
	begin := func(s scram) *Client {
		c := Dial(t, b.TCP)
		c.Send(Connect{ID: Name(), Props: method(sha, s.first())}.Bytes())
		return c
	}
	bob := scram{"bob", "builder", "fyko+d2lbbFgONRv9qkxdawL"}
	c := begin(bob)
	if p := bob.login(t, c, CONNACK); p.Code != 0 {
		t.Fatalf("%v", p)
	}
	for i := range 2 { // and again, on the living connection
		bob.nonce = fmt.Sprint("again", i, "xxxxxxxxxxxx")
		c.Send(Auth(0x19, method(sha, bob.first())...))
		if p := bob.login(t, c, AUTH); p.Code != 0 {
			t.Fatalf("%v", p)
		}
		c.Barrier()
	}
	ann := scram{"ann", "x", "otherotherother"} // as somebody else
	c.Send(Auth(0x19, method(sha, ann.first())...))
	c.ExpectCode(DISCONNECT, notAuthorized)
	for _, wrong := range []scram{{"bob", "wrong", "nnnnnnnnnnnnnnn"}, {"nobody", "builder", "mmmmmmmmmmmmmmm"}} {
		if p := wrong.login(t, begin(wrong), CONNACK); p.Code != notAuthorized {
			t.Errorf("%s: %v", wrong.user, p)
		}
	}
	other := Dial(t, b.TCP)
	other.Send(Connect{ID: Name(), Props: method("PLAIN", "x")}.Bytes())
	other.ExpectCode(CONNACK, badMethod)
}
