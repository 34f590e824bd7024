package topic

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", maxLength)
	for _, c := range []struct {
		rule, in string
		want     Parsed
		err      error
	}{
		{"MQTT-4.7.3-1", "", Parsed{}, errFilterEmpty},
		{"MQTT-4.7.3-1", "/", Parsed{Filter: "/"}, nil},
		{"MQTT-4.7.3-1", " ", Parsed{Filter: " "}, nil},
		{"MQTT-4.7.3-2", "a\x00b", Parsed{}, errFilterNUL},
		{"MQTT-4.7.3-3", long, Parsed{Filter: Filter(long)}, nil},
		{"MQTT-4.7.3-3", long + "a", Parsed{}, errFilterLong},
		{"MQTT-1.5.4-1", "a/\xff", Parsed{}, errFilterUTF8},
		{"MQTT-1.5.4-1", "a/\xed\xa0\x80", Parsed{}, errFilterUTF8}, // a surrogate
		{"MQTT-1.5.4-1", "a/é/\U0001F600", Parsed{Filter: "a/é/\U0001F600"}, nil},
		{"MQTT-1.5.4-3", "\ufeffa", Parsed{Filter: "\ufeffa"}, nil},

		{"MQTT-4.7.1-1", "#", Parsed{Filter: "#"}, nil},
		{"MQTT-4.7.1-1", "a/#", Parsed{Filter: "a/#"}, nil},
		{"MQTT-4.7.1-1", "/#", Parsed{Filter: "/#"}, nil},
		{"MQTT-4.7.1-1", "a#", Parsed{}, errHash},
		{"MQTT-4.7.1-1", "a/#b", Parsed{}, errHash},
		{"MQTT-4.7.1-1", "#/x", Parsed{}, errHash},
		{"MQTT-4.7.1-1", "a/#/", Parsed{}, errHash},
		{"MQTT-4.7.1-1", "##", Parsed{}, errHash},
		{"MQTT-4.7.1-1", "+#", Parsed{}, errPlus},

		{"MQTT-4.7.1-2", "+", Parsed{Filter: "+"}, nil},
		{"MQTT-4.7.1-2", "+/a/+", Parsed{Filter: "+/a/+"}, nil},
		{"MQTT-4.7.1-2", "+/#", Parsed{Filter: "+/#"}, nil},
		{"MQTT-4.7.1-2", "/+", Parsed{Filter: "/+"}, nil},
		{"MQTT-4.7.1-2", "a+", Parsed{}, errPlus},
		{"MQTT-4.7.1-2", "+a", Parsed{}, errPlus},
		{"MQTT-4.7.1-2", "a/++/b", Parsed{}, errPlus},

		{"MQTT-4.8.2-1", "$share/g/t", Parsed{Filter: "t", Group: "g"}, nil},
		{"MQTT-4.8.2-1", "$share/g//t", Parsed{Filter: "/t", Group: "g"}, nil},
		{"MQTT-4.8.2-1", "$share/g//", Parsed{Filter: "/", Group: "g"}, nil},
		{"MQTT-4.8.2-1", "$share/é/+/#", Parsed{Filter: "+/#", Group: "é"}, nil},
		{"MQTT-4.8.2-1", "$share/g/$SYS/#", Parsed{Filter: "$SYS/#", Group: "g"}, nil},
		{"MQTT-4.8.2-1", "$share//t", Parsed{}, errShareName},
		{"MQTT-4.8.2-1", "$share/", Parsed{}, errShareName},
		{"MQTT-4.8.2-1", "$share//", Parsed{}, errShareName},
		{"MQTT-4.8.2-2", "$share/g", Parsed{}, errShareFilter},
		{"MQTT-4.8.2-2", "$share/g/", Parsed{}, errShareFilter},
		{"MQTT-4.8.2-2", "$share/g+/t", Parsed{}, errShareWildcard},
		{"MQTT-4.8.2-2", "$share/+/t", Parsed{}, errShareWildcard},
		{"MQTT-4.8.2-2", "$share/#", Parsed{}, errShareWildcard},
		{"MQTT-4.8.2-2", "$share/g/a#", Parsed{}, errHash},

		{"an ordinary filter", "$share", Parsed{Filter: "$share"}, nil},
		{"an ordinary filter", "$sharex/g/t", Parsed{Filter: "$sharex/g/t"}, nil},
		{"an ordinary filter", "a/$share/g/t", Parsed{Filter: "a/$share/g/t"}, nil},
		{"an ordinary filter", "$exclusive", Parsed{Filter: "$exclusive"}, nil},
		{"an ordinary filter", "$SHARE/g/t", Parsed{Filter: "$SHARE/g/t"}, nil},

		{"exclusive", "$exclusive/t", Parsed{Filter: "t", Exclusive: true}, nil},
		{"exclusive", "$exclusive//", Parsed{Filter: "/", Exclusive: true}, nil},
		{"exclusive", "$exclusive/", Parsed{}, errExclusive},
		{"exclusive", "$exclusive/a+", Parsed{}, errPlus},
		{"nested", "$exclusive/$share/g/t", Parsed{}, errNested},
		{"nested", "$share/g/$exclusive/t", Parsed{}, errNested},
		{"nested", "$share/g/$share/h/t", Parsed{}, errNested},
		{"nested", "$exclusive/$exclusive/t", Parsed{}, errNested},
	} {
		got, err := Parse(c.in)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("[%s] Parse(%.40q) = %.80v, %v, want %.80v, %v", c.rule, c.in, got, err, c.want, c.err)
		}
		if err != nil && strings.HasPrefix(c.rule, "MQTT-4.8") && !strings.Contains(err.Error(), "[MQTT-4.") {
			t.Errorf("Parse(%q): %v does not name a statement", c.in, err)
		}
	}
}

func TestValidName(t *testing.T) {
	long := strings.Repeat("a", maxLength)
	for _, c := range []struct {
		rule, in string
		err      error
	}{
		{"MQTT-4.7.3-1", "", errNameEmpty},
		{"MQTT-4.7.3-1", "/", nil},
		{"MQTT-4.7.3-1", "a b/c", nil},
		{"MQTT-4.7.3-2", "a\x00", errNameNUL},
		{"MQTT-4.7.3-2", "\x00", errNameNUL},
		{"MQTT-4.7.3-2", "0123456\x0089", errNameNUL},
		{"MQTT-4.7.3-3", long, nil},
		{"MQTT-4.7.3-3", long + "a", errNameLong},
		{"MQTT-1.5.4-1", "abcdefgh\xc3", errNameUTF8},
		{"MQTT-1.5.4-1", "\x80", errNameUTF8},
		{"MQTT-1.5.4-1", "\xed\xbf\xbf", errNameUTF8},
		{"MQTT-1.5.4-1", "é/\U0001F600", nil},
		{"MQTT-4.7.0-1", "a/+", errNameWildcard},
		{"MQTT-4.7.0-1", "#", errNameWildcard},
		{"MQTT-4.7.0-1", "0123456+", errNameWildcard},
		{"MQTT-4.7.0-1", "01234567#", errNameWildcard},
		{"a $ name", "$SYS/broker", nil},
	} {
		if err := ValidName(c.in); !errors.Is(err, c.err) {
			t.Errorf("[%s] ValidName(%.40q) = %v, want %v", c.rule, c.in, err, c.err)
		}
		if got := ValidNameBytes([]byte(c.in)); got != (c.err == nil) {
			t.Errorf("[%s] ValidNameBytes(%.40q) = %v", c.rule, c.in, got)
		}
	}
}

// TestValidNameBytesEach puts each byte at each place of names of each short length.
func TestValidNameBytesEach(t *testing.T) {
	for length := 1; length <= 20; length++ {
		for at := range length {
			for c := range 256 {
				name := []byte(strings.Repeat("a", length))
				name[at] = byte(c)
				if got, want := ValidNameBytes(name), ValidName(string(name)) == nil; got != want {
					t.Fatalf("ValidNameBytes(%q) = %v, want %v", name, got, want)
				}
			}
		}
	}
}

func TestLevels(t *testing.T) {
	for s, want := range map[string]int{"a": 1, "/": 2, "a/b": 2, "a//b/": 4, "+/#": 2} {
		if got := Levels(s); got != want {
			t.Errorf("Levels(%q) = %d, want %d", s, got, want)
		}
	}
}

// matchTable are the examples of the specification and cases beside them.
var matchTable = []struct {
	rule   string
	filter Filter
	name   string
	want   bool
}{
	{"MQTT-4.7.1-1", "sport/tennis/player1/#", "sport/tennis/player1", true},
	{"MQTT-4.7.1-1", "sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
	{"MQTT-4.7.1-1", "sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
	{"MQTT-4.7.1-1", "sport/tennis/player1/#", "sport/tennis/player10", false},
	{"MQTT-4.7.1-1", "sport/#", "sport", true},
	{"MQTT-4.7.1-1", "sport/#", "sport/", true},
	{"MQTT-4.7.1-1", "sport/+/#", "sport", false},
	{"MQTT-4.7.1-1", "#", "/", true},
	{"MQTT-4.7.1-1", "#", "a/b/c", true},
	{"MQTT-4.7.1-2", "sport/tennis/+", "sport/tennis/player1", true},
	{"MQTT-4.7.1-2", "sport/tennis/+", "sport/tennis/player1/ranking", false},
	{"MQTT-4.7.1-2", "sport/+", "sport", false},
	{"MQTT-4.7.1-2", "sport/+", "sport/", true},
	{"MQTT-4.7.1-2", "+/+", "/finance", true},
	{"MQTT-4.7.1-2", "/+", "/finance", true},
	{"MQTT-4.7.1-2", "+", "/finance", false},
	{"MQTT-4.7.1-2", "+/tennis/#", "sport/tennis", true},
	{"MQTT-4.7.2-1", "#", "$SYS/uptime", false},
	{"MQTT-4.7.2-1", "+/monitor/Clients", "$SYS/monitor/Clients", false},
	{"MQTT-4.7.2-1", "+", "$SYS", false},
	{"MQTT-4.7.2-1", "$SYS/#", "$SYS/monitor", true},
	{"MQTT-4.7.2-1", "$SYS/monitor/+", "$SYS/monitor/Clients", true},
	{"MQTT-4.7.2-1", "a/+", "a/$SYS", true},
	{"MQTT-4.7.3-4", "ACCOUNTS", "Accounts", false},
	{"MQTT-4.7.3-4", "a", "/a", false},
	{"MQTT-4.7.3-4", "a", "a/", false},
	{"MQTT-4.7.3-4", "e\u0301", "\u00e9", false}, // no normalization
	{"MQTT-4.7.3-4", "a//b", "a//b", true},
	{"MQTT-4.7.3-4", "a//b", "a/b", false},
}

// TestMatchTable asks everything that matches.
func TestMatchTable(t *testing.T) {
	for _, c := range matchTable {
		if got := Matches(c.filter, c.name); got != c.want {
			t.Errorf("[%s] Matches(%q, %q) = %v", c.rule, c.filter, c.name, got)
		}
		tree := New[int, int]()
		tree.Subscribe(c.filter, 1, 1)
		found := false
		tree.Match(c.name, func(Filter, int, *int) { found = true })
		if found != c.want {
			t.Errorf("[%s] tree of %q, %q: %v", c.rule, c.filter, c.name, found)
		}
		names := NewNames[int]()
		names.Set(c.name, 1)
		found = false
		names.Match(c.filter, "", func(string, int) bool { found = true; return true })
		if found != c.want {
			t.Errorf("[%s] names with %q, %q: %v", c.rule, c.name, c.filter, found)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		f, g Filter
		want bool
	}{
		{"#", "#", true}, {"#", "a/b", true}, {"#", "+/+", true}, {"#", "$SYS/#", false},
		{"+/#", "#", true}, {"#", "+/#", true}, {"+", "#", false},
		{"/+/#", "/#", true}, {"+/+/#", "/#", true}, {"a/+/#", "a/#", false},
		{"a/#", "a", true}, {"a/#", "a/+/#", true}, {"a/+", "a/b", true}, {"a/b", "a/+", false},
		{"+/b", "a/b", true}, {"+", "$SYS", false}, {"$SYS/#", "$SYS/+/x", true}, {"a", "a/b", false}, {"a/b", "a", false},
	} {
		if got := Covers(c.f, c.g); got != c.want {
			t.Errorf("Covers(%q, %q) = %v", c.f, c.g, got)
		}
	}
}

func TestParseDelayed(t *testing.T) {
	for _, c := range []struct {
		in      string
		seconds int64
		rest    string
		ok      bool
		err     error
	}{
		{"a/b", 0, "", false, nil},
		{"$delayed", 0, "", false, nil},
		{"$delayedx/1/a", 0, "", false, nil},
		{"$delayed/0/a", 0, "a", true, nil},
		{"$delayed/15/x/y", 15, "x/y", true, nil},
		{"$delayed/15//x", 15, "/x", true, nil},
		{"$delayed/007/x", 7, "x", true, nil},
		{"$delayed/4294967295/x", MaxDelay, "x", true, nil},
		{"$delayed/4294967296/x", 0, "", true, errDelayedSeconds},
		{"$delayed/99999999999999999999999/x", 0, "", true, errDelayedSeconds},
		{"$delayed/-1/x", 0, "", true, errDelayedSeconds},
		{"$delayed/+1/x", 0, "", true, errDelayedSeconds},
		{"$delayed/1_0/x", 0, "", true, errDelayedSeconds},
		{"$delayed/1.5/x", 0, "", true, errDelayedSeconds},
		{"$delayed//x", 0, "", true, errDelayedSeconds},
		{"$delayed/", 0, "", true, errDelayedForm},
		{"$delayed/1", 0, "", true, errDelayedForm},
		{"$delayed/1/", 0, "", true, errNameEmpty},
		{"$delayed/1/a/+", 0, "", true, errNameWildcard},
		{"$delayed/1/$delayed/1/a", 0, "", true, errDelayedNested},
	} {
		seconds, rest, ok, err := ParseDelayed(c.in)
		if seconds != c.seconds || rest != c.rest || ok != c.ok || !errors.Is(err, c.err) {
			t.Errorf("ParseDelayed(%q) = %d, %q, %v, %v", c.in, seconds, rest, ok, err)
		}
	}
}
