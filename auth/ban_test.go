package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

var banNow = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func mustAdd(t *testing.T, b *Bans, bans ...Ban) {
	t.Helper()
	for _, ban := range bans {
		if err := b.Add(ban, banNow); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBansMatchWhomTheyAreAbout(t *testing.T) {
	b := NewBans()
	mustAdd(t, b, Ban{Kind: BanAddress, Value: "192.0.2.7"}, Ban{Kind: BanAddress, Value: "10.0.0.0/8"}, Ban{Kind: BanAddress, Value: "2001:db8::/32"},
		Ban{Kind: BanUser, Value: "bob"}, Ban{Kind: BanClient, Value: "sensor"})
	for name, c := range map[string]struct {
		who  Who
		want string
	}{
		"address":          {Who{Remote: netip.MustParseAddr("192.0.2.7")}, "192.0.2.7"},
		"mapped address":   {Who{Remote: netip.MustParseAddr("::ffff:192.0.2.7")}, "192.0.2.7"},
		"next address":     {Who{Remote: netip.MustParseAddr("192.0.2.8")}, ""},
		"network":          {Who{Remote: netip.MustParseAddr("10.255.0.1")}, "10.0.0.0/8"},
		"next network":     {Who{Remote: netip.MustParseAddr("11.0.0.1")}, ""},
		"IPv6":             {Who{Remote: netip.MustParseAddr("2001:db8:1::1")}, "2001:db8::/32"},
		"IPv6 with zone":   {Who{Remote: netip.MustParseAddr("2001:db8:1::1%eth0")}, "2001:db8::/32"},
		"other IPv6":       {Who{Remote: netip.MustParseAddr("2001:db9::1")}, ""},
		"user":             {Who{User: "bob", HasUser: true}, "bob"},
		"no user":          {Who{User: "bob"}, ""},
		"user as client":   {Who{ClientID: "bob"}, ""},
		"client":           {Who{ClientID: "sensor"}, "sensor"},
		"client as a user": {Who{User: "sensor", HasUser: true}, ""},
		"nothing":          {Who{}, ""},
	} {
		if ban, ok := b.Match(c.who, banNow); ok != (c.want != "") || ban.Value != c.want {
			t.Errorf("%s: %q, want %q", name, ban.Value, c.want)
		}
	}
}

func TestBansEnd(t *testing.T) {
	b := NewBans()
	end := banNow.Add(time.Hour)
	mustAdd(t, b, Ban{Kind: BanUser, Value: "bob", Until: end}, Ban{Kind: BanAddress, Value: "192.0.2.0/24", Until: end}, Ban{Kind: BanAddress, Value: "192.0.2.1"})
	for _, who := range []Who{{User: "bob", HasUser: true}, {Remote: netip.MustParseAddr("192.0.2.2")}} {
		if _, ok := b.Match(who, end.Add(-1)); !ok {
			t.Errorf("%+v is not banned", who)
		}
		if _, ok := b.Match(who, end); ok {
			t.Errorf("%+v is banned for longer", who)
		}
	}
	if n := len(b.List(end)); n != 1 || b.added.len() != 1 || len(b.added.lengths[0]) != 1 {
		t.Errorf("%d bans, %d kept, lengths %v", n, b.added.len(), b.added.lengths)
	}
}

func TestBansAreLifted(t *testing.T) {
	b := NewBans()
	mustAdd(t, b, Ban{Kind: BanUser, Value: "bob"}, Ban{Kind: BanAddress, Value: "::ffff:192.0.2.1"}, Ban{Kind: BanClient, Value: "c"})
	if !b.Remove(BanAddress, "192.0.2.1/32") || !b.Remove(BanUser, "bob") || b.Remove(BanUser, "bob") || b.Remove(BanUser, "c") || b.Remove(0, "c") || b.Remove(BanAddress, "x") {
		t.Error("lifted the wrong ones")
	}
	if _, ok := b.Match(Who{Remote: netip.MustParseAddr("192.0.2.1"), User: "bob", HasUser: true}, banNow); ok {
		t.Error("still banned")
	}
	if len(b.List(banNow)) != 1 {
		t.Error(b.List(banNow))
	}
}

func TestBansOfAFileAreReplacedTogether(t *testing.T) {
	b := NewBans()
	mustAdd(t, b, Ban{Kind: BanUser, Value: "eve"})
	if err := b.Replace([]Ban{{Kind: BanUser, Value: "bob"}, {Kind: BanAddress, Value: "10.0.0.0/8"}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Replace([]Ban{{Kind: BanUser, Value: "al"}, {Kind: BanAddress, Value: "10.0.0.1/8"}}); err == nil {
		t.Error("a network with an address is taken")
	}
	if b.Remove(BanUser, "bob") {
		t.Error("a ban of the file is lifted")
	}
	want := []Ban{{Kind: BanAddress, Value: "10.0.0.0/8", FromFile: true}, {Kind: BanUser, Value: "bob", FromFile: true}, {Kind: BanUser, Value: "eve"}}
	if got := b.List(banNow); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if err := b.Replace(nil); err != nil || len(b.List(banNow)) != 1 {
		t.Error(err, b.List(banNow))
	}
}

func TestMalformedBansAreRefused(t *testing.T) {
	b := NewBans()
	for _, ban := range []Ban{{}, {Kind: BanUser}, {Kind: BanClient}, {Kind: BanAddress}, {Kind: BanAddress, Value: "bob"}, {Kind: 9, Value: "x"},
		{Kind: BanAddress, Value: "10.0.0.1/33"}, {Kind: BanAddress, Value: "fe80::1%eth0"}, {Kind: BanAddress, Value: "::ffff:10.0.0.0/100"}} {
		if err := b.Add(ban, banNow); err == nil {
			t.Errorf("%+v is taken", ban)
		}
	}
}

func TestBansAreBounded(t *testing.T) {
	b := NewBans()
	for i := range MaxBans {
		mustAdd(t, b, Ban{Kind: BanUser, Value: fmt.Sprint(i), Until: banNow.Add(time.Hour)})
	}
	if err := b.Add(Ban{Kind: BanUser, Value: "x"}, banNow); !errors.Is(err, ErrTooManyBans) {
		t.Error(err)
	}
	if err := b.Add(Ban{Kind: BanUser, Value: "1"}, banNow); err != nil {
		t.Error("one that is there cannot be changed:", err)
	}
	if err := b.Add(Ban{Kind: BanUser, Value: "x"}, banNow.Add(time.Hour)); err != nil {
		t.Error("those that are over take room:", err)
	}
}

const bansText = `# bans
address 192.0.2.7
network 2001:db8::/32 until 2030-01-31T00:00:00Z

user "john \"q\" doe" until 2030-01-31T00:00:00+01:00   # shared   his password
client sensor-7 # flaps
`

func TestBansFileIsParsedAndWritten(t *testing.T) {
	list, err := ParseBans("bans", []byte(bansText))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 4 || list[2].Value != `john "q" doe` || list[2].Reason != "shared   his password" || !list[2].Until.Equal(time.Date(2030, 1, 30, 23, 0, 0, 0, time.UTC)) {
		t.Fatalf("%+v", list)
	}
	written := string(FormatBans(list))
	want := "address 192.0.2.7\naddress 2001:db8::/32 until 2030-01-31T00:00:00Z\nuser \"john \\\"q\\\" doe\" until 2030-01-31T00:00:00+01:00 # shared his password\nclient sensor-7 # flaps\n"
	if written != want {
		t.Errorf("\n%s, want\n%s", written, want)
	}
}

func TestEveryMalformedBanIsNamed(t *testing.T) {
	_, err := ParseBans("bans", []byte("user\nbob\naddress x\nuser bob until tomorrow\nuser bob x\nclient \"x\nuser bob until 2030-01-31T00:00:00Z x\naddress 10.0.0.1/8\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 7 {
		t.Fatal(err)
	}
	for i, line := range strings.Split(err.Error(), "\n") {
		if !strings.HasPrefix(line, fmt.Sprintf("bans:%d: ", i+1)) {
			t.Error(line)
		}
	}
}

func FuzzParseBans(f *testing.F) {
	f.Add(bansText)
	f.Add("client \"\\xff\\n\" # x\nuser # until x")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseBans("bans", []byte(s))
		if err != nil {
			return
		}
		again, err := ParseBans("bans", FormatBans(list))
		if err != nil || len(again) != len(list) {
			t.Fatalf("%v, %d bans, want %d", err, len(again), len(list))
		}
		for i := range list {
			if again[i].Kind != list[i].Kind || again[i].Value != list[i].Value || !again[i].Until.Equal(list[i].Until) {
				t.Errorf("%+v, want %+v", again[i], list[i])
			}
		}
	})
}

func BenchmarkMatchBans(b *testing.B) {
	bans := NewBans()
	for i := range 50_000 {
		_ = bans.Add(Ban{Kind: BanAddress, Value: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24).String()}, banNow) // it is well formed
		_ = bans.Add(Ban{Kind: BanUser, Value: fmt.Sprint(i)}, banNow)                                                                            // likewise
	}
	who := Who{ClientID: "c", User: "bob", HasUser: true, Remote: netip.MustParseAddr("192.0.2.1")}
	for b.Loop() {
		if _, ok := bans.Match(who, banNow); ok {
			b.Fatal("banned")
		}
	}
}
