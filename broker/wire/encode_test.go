package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker/message"
)

// everything is available.
func open(c Connack) *Connack {
	c.RetainAvailable, c.Wildcards, c.SubIDs, c.Shared, c.MaximumQoS = true, true, true, true, 2
	return &c
}

func TestConnackGolden(t *testing.T) {
	long := strings.Repeat("r", 200)
	user := []UserProperty{{Key: "k", Val: "v"}}
	for _, tt := range []struct {
		name    string
		version byte
		c       *Connack
		want    string
	}{
		{"3.1.1 accepted", 4, &Connack{}, "20 02 00 00"},
		{"3.1.1 session present", 4, &Connack{SessionPresent: true}, "20 02 01 00"},
		{"3.1 has no session present", 3, &Connack{SessionPresent: true}, "20 02 00 00"},
		{"3.1.1 refused", 4, &Connack{Code: CodeBadUserNameOrPassword, ReasonString: "x"}, "20 02 00 04"},
		{"[MQTT-3.2.2-6] 3.1.1 refused, session present", 4, &Connack{Code: CodeNotAuthorized, SessionPresent: true}, "20 02 00 05"},
		{"3.1.1 has no code for a protocol error", 4, &Connack{Code: CodeProtocolError}, ""},
		{"5 accepted", 5, open(Connack{SessionPresent: true}), "20 03 01 00 00"},
		{"[MQTT-3.2.2-6] 5 refused, session present", 5, open(Connack{Code: 0x87, SessionPresent: true}), "20 03 00 87 00"},
		{"5 refused says nothing of terms", 5, &Connack{Code: 0x9c, ServerReference: "s", AssignedID: "i", ReceiveMaximum: 3},
			"20 07 00 9c 04 1c 0001's'"},
		{"[MQTT-3.2.2-9] not available", 5, &Connack{MaximumQoS: 1}, "20 0d 00 00 0a 2401 2500 2800 2900 2a00"},
		{"defaults are not sent", 5, open(Connack{ReceiveMaximum: 65535}), "20 03 00 00 00"},
		{"session expiry 0 and keep alive 0", 5, open(Connack{HasSessionExpiry: true, HasKeepAlive: true}),
			"20 0b 00 00 08 11 00000000 13 0000"},
		{"reason and user", 5, open(Connack{ReasonString: "r", User: user}), "20 0e 00 00 0b 1f 0001'r' 26 0001'k' 0001'v'"},
		{"[MQTT-3.2.2-20] user properties do not fit", 5, open(Connack{ReasonString: "r", User: user, ClientMaxPacket: 15}),
			"20 07 00 00 04 1f 0001'r'"},
		{"they just fit", 5, open(Connack{ReasonString: "r", User: user, ClientMaxPacket: 16}),
			"20 0e 00 00 0b 1f 0001'r' 26 0001'k' 0001'v'"},
		{"[MQTT-3.2.2-19] reason string does not fit", 5, open(Connack{ReasonString: long, ClientMaxPacket: 200}), "20 03 00 00 00"},
		{"[MQTT-3.1.2-24] nothing fits", 5, open(Connack{AssignedID: "id", ClientMaxPacket: 9}), ""},
		{"it just fits", 5, open(Connack{AssignedID: "id", ClientMaxPacket: 10}), "20 08 00 00 05 12 0002'id'"},
		{"what is not UTF-8 is left out", 5, open(Connack{ReasonString: "\xff", User: []UserProperty{{Key: "a\x00"}, user[0]}}),
			"20 0a 00 00 07 26 0001'k' 0001'v'"},
		{"empty authentication data", 5, open(Connack{AuthMethod: "m", AuthData: []byte{}}), "20 0a 00 00 07 15 0001'm' 16 0000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := append([]byte("before"), unhex(t, tt.want)...)
			if got := AppendConnack([]byte("before"), tt.version, tt.c); !bytes.Equal(got, want) {
				t.Errorf("wrote % x\nwant  % x", got[6:], want[6:])
			}
		})
	}
}

func TestRepliesGolden(t *testing.T) {
	codes := []byte{0, 1, 2, 0x87, 0x9e}
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"[MQTT-3.8.4-6] SUBACK 3.1.1": {AppendSuback(nil, 4, 0x0102, codes, "x", 0), "90 07 0102 00 01 02 80 80"},
		"SUBACK 3.1":                  {AppendSuback(nil, 3, 1, codes[3:], "", 0), "90 04 0001 80 80"},
		"SUBACK 5":                    {AppendSuback(nil, 5, 1, codes, "", 0), "90 08 0001 00 00 01 02 87 9e"},
		"SUBACK 5, reason":            {AppendSuback(nil, 5, 1, codes[:1], "r", 10), "90 08 0001 04 1f 0001'r' 00"},
		"[MQTT-3.9.2-1]":              {AppendSuback(nil, 5, 1, codes[:1], "r", 9), "90 04 0001 00 00"},
		"SUBACK too large":            {AppendSuback(nil, 5, 1, codes, "", 9), ""},
		"[MQTT-3.11.3-1] UNSUBACK":    {AppendUnsuback(nil, 5, 1, []byte{0, 0x11}, "", 0), "b0 05 0001 00 00 11"},
		"[MQTT-3.11.2-1]":             {AppendUnsuback(nil, 5, 1, []byte{0}, "r", 9), "b0 04 0001 00 00"},
		"UNSUBACK 3.1.1":              {AppendUnsuback(nil, 4, 0xffff, []byte{0, 0x11}, "r", 0), "b0 02 ffff"},
		"DISCONNECT 0x00":             {AppendDisconnect(nil, 0, "", "", 0), "e0 00"},
		"DISCONNECT":                  {AppendDisconnect(nil, 0x8b, "", "", 0), "e0 01 8b"},
		"DISCONNECT, all":             {AppendDisconnect(nil, 0x9c, "r", "s", 0), "e0 0a 9c 08 1c 0001's' 1f 0001'r'"},
		"DISCONNECT 0x00, reason":     {AppendDisconnect(nil, 0, "r", "", 0), "e0 06 00 04 1f 0001'r'"},
		"[MQTT-3.14.2-3]":             {AppendDisconnect(nil, 0x9c, "r", "s", 11), "e0 06 9c 04 1c 0001's'"},
		"DISCONNECT, nothing fits":    {AppendDisconnect(nil, 0x9c, "r", "s", 7), "e0 01 9c"},
		"DISCONNECT, limit 2":         {AppendDisconnect(nil, 0x9c, "", "", 2), ""},
		"AUTH": {AppendAuth(nil, 0x18, "m", []byte("d"), "r", 0),
			"f0 0e 18 0c 15 0001'm' 16 0001'd' 1f 0001'r'"},
		"AUTH, no data":              {AppendAuth(nil, 0x00, "m", nil, "", 0), "f0 06 00 04 15 0001'm'"},
		"[MQTT-3.15.2-2]":            {AppendAuth(nil, 0x18, "m", nil, "r", 8), "f0 06 18 04 15 0001'm'"},
		"PINGRESP":                   {AppendPingresp(nil), "d0 00"},
		"PUBACK":                     {AppendAck(nil, 4, TypePuback, 0x0102, 0x87), "40 02 0102"},
		"PUBACK 5":                   {AppendAck(nil, 5, TypePuback, 1, 0x10), "40 03 0001 10"},
		"[MQTT-3.6.1-1] PUBREL":      {AppendAck(nil, 5, TypePubrel, 1, 0), "62 02 0001"},
		"PUBREC, reason":             {AppendAckReason(nil, 5, TypePubrec, 1, 0x87, "r", 0), "50 08 0001 87 04 1f 0001'r'"},
		"PUBACK 3.1.1, reason":       {AppendAckReason(nil, 4, TypePuback, 1, 0x87, "r", 0), "40 02 0001"},
		"[MQTT-3.4.2-2]":             {AppendAckReason(nil, 5, TypePuback, 1, 0x87, "r", 9), "40 03 0001 87"},
		"[MQTT-3.6.2-2] PUBREL":      {AppendAckReason(nil, 5, TypePubrel, 1, 0x92, "r", 9), "62 03 0001 92"},
		"PUBCOMP, reason not UTF-8":  {AppendAckReason(nil, 5, TypePubcomp, 1, 0, "\xff", 0), "70 02 0001"},
		"PUBREC, success and reason": {AppendAckReason(nil, 5, TypePubrec, 1, 0, "r", 0), "50 08 0001 00 04 1f 0001'r'"},
	} {
		if want := unhex(t, tt.want); !bytes.Equal(tt.got, want) {
			t.Errorf("%s: wrote % x\nwant % x", name, tt.got, want)
		}
	}
}

// decodeServer reads what a server sends with mochi's decoders.
func decodeServer(t *testing.T, frame []byte) *packets.Packet {
	t.Helper()
	h, body, n, err := Next(frame, 0)
	if err != nil || n != len(frame) {
		t.Fatalf("frame % x: %d, %v", frame, n, err)
	}
	pk := newPacket(5, h, body)
	switch h >> 4 {
	case TypeConnack:
		err = pk.ConnackDecode(body)
	case TypeSuback:
		err = pk.SubackDecode(body)
	case TypeUnsuback:
		err = pk.UnsubackDecode(body)
	case TypeDisconnect:
		err = pk.DisconnectDecode(body)
	case TypeAuth:
		err = pk.AuthDecode(body)
	case TypePuback:
		err = pk.PubackDecode(body)
	}
	if err != nil {
		t.Fatalf("mochi: %v in % x", err, frame)
	}
	return pk
}

func TestConnackAgainstMochi(t *testing.T) {
	c := Connack{
		SessionPresent: true, ReasonString: "reason", ServerReference: "other:1883",
		User:          []UserProperty{{Key: "k", Val: "v"}, {Key: "k", Val: ""}},
		SessionExpiry: 1 << 31, HasSessionExpiry: true, KeepAlive: 60, HasKeepAlive: true, ReceiveMaximum: 1000, MaximumQoS: 1,
		MaxPacket: 1 << 20, AliasMaximum: 100, AssignedID: strings.Repeat("i", 300), ResponseInfo: "info",
		AuthMethod: "SCRAM", AuthData: []byte{0, 0xff},
	}
	pk := decodeServer(t, AppendConnack(nil, 5, &c))
	want := packets.Properties{
		ReasonString: c.ReasonString, ServerReference: c.ServerReference, User: c.User, SessionExpiryInterval: c.SessionExpiry,
		SessionExpiryIntervalFlag: true, ServerKeepAlive: 60, ServerKeepAliveFlag: true, ReceiveMaximum: 1000,
		MaximumQos: 1, MaximumQosFlag: true, MaximumPacketSize: 1 << 20, TopicAliasMaximum: 100, AssignedClientID: c.AssignedID,
		ResponseInfo: "info", AuthenticationMethod: "SCRAM", AuthenticationData: c.AuthData, RetainAvailableFlag: true,
		WildcardSubAvailableFlag: true, SubIDAvailableFlag: true, SharedSubAvailableFlag: true,
	}
	if !reflect.DeepEqual(pk.Properties, want) || !pk.SessionPresent || pk.ReasonCode != 0 {
		t.Errorf("mochi reads %+v\nwant %+v", pk.Properties, want)
	}
}

// Whatever the limit, what is written is a packet within it, and the shortest one is
// written if it fits.
func TestRepliesKeepTheLimit(t *testing.T) {
	codes := bytes.Repeat([]byte{1}, 120)
	for limit := range uint32(420) {
		for name, write := range map[string]func(reason string, limit uint32) []byte{
			"CONNACK": func(reason string, limit uint32) []byte {
				c := Connack{ReasonString: reason, User: []UserProperty{{Key: "k", Val: strings.Repeat("v", 120)}}, ClientMaxPacket: limit}
				if reason == "" {
					c.User = nil
				}
				return AppendConnack(nil, 5, &c)
			},
			"SUBACK":     func(r string, limit uint32) []byte { return AppendSuback(nil, 5, 1, codes, r, limit) },
			"UNSUBACK":   func(r string, limit uint32) []byte { return AppendUnsuback(nil, 5, 1, codes, r, limit) },
			"DISCONNECT": func(r string, limit uint32) []byte { return AppendDisconnect(nil, 0x8b, r, r, limit) },
			"AUTH":       func(r string, limit uint32) []byte { return AppendAuth(nil, 0x18, "m", []byte("data"), r, limit) },
			"PUBACK":     func(r string, limit uint32) []byte { return AppendAckReason(nil, 5, TypePuback, 1, 0x87, r, limit) },
		} {
			if limit == 0 {
				continue // none
			}
			shortest := write("", 0)
			got := write(strings.Repeat("r", 125), limit)
			switch {
			case len(got) > int(limit):
				t.Errorf("%s: %d bytes with a limit of %d", name, len(got), limit)
			case len(got) == 0 && len(shortest) <= int(limit):
				t.Errorf("%s: nothing with a limit of %d, and %d bytes would do", name, limit, len(shortest))
			case len(got) > 0:
				decodeServer(t, got)
			}
		}
	}
}

func TestRepliesDoNotAllocate(t *testing.T) {
	c := Connack{HasSessionExpiry: true, AssignedID: "assigned", ReasonString: "reason", ReceiveMaximum: 9, MaxPacket: 1}
	codes := []byte{0, 1}
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() {
		b := AppendConnack(buf, 5, &c)
		b = AppendSuback(b, 5, 1, codes, "", 0)
		b = AppendUnsuback(b, 5, 1, codes, "", 0)
		b = AppendDisconnect(b, 0x8b, "reason", "", 100)
		b = AppendAuth(b, 0x18, "m", codes, "", 0)
		AppendAckReason(b, 5, TypePuback, 1, 0x87, "reason", 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestWillProperties(t *testing.T) {
	pk, err := decodeBody(t, 0, "10 0004'MQTT' 05 06 0000 00 0001'c'"+
		"21 02 00000009 26 0001'k' 0001'v' 18 00000005 01 00 09 0002 ff00 08 0001'r' 03 0002'ct' 0001't' 0000")
	if err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "01 00 03 0002'ct' 08 0001'r' 09 0002 ff00 26 0001'k' 0001'v'")
	if got := AppendWillProperties(nil, pk); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestCodes(t *testing.T) {
	for code := range 256 {
		name := CodeName(byte(code))
		known := code <= 2 || code == 4 || code == 0x10 || code == 0x11 || code == 0x18 || code == 0x19 || code >= 0x80 && code <= 0xa2
		if known == (name == "unknown reason code") || name == "" {
			t.Errorf("0x%02X is called %q", code, name)
		}
		v3 := V3Code(byte(code))
		if v3 > 5 || (v3 == 0) != (code < 0x80) {
			t.Errorf("0x%02X is %d in 3.x", code, v3)
		}
	}
	for code, want := range map[byte]byte{
		CodeUnsupportedVersion: 1, CodeClientIDNotValid: 2, CodeServerUnavailable: 3, CodeServerBusy: 3, CodeQuotaExceeded: 3,
		CodeBadUserNameOrPassword: 4, CodeNotAuthorized: 5, CodeBanned: 5, CodeTopicNameInvalid: 5,
	} {
		if got := V3Code(code); got != want {
			t.Errorf("%s is %d in 3.x, want %d", CodeName(code), got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	err := fmt.Errorf("reading: %w", malformed("[MQTT-2.1.3-1]"))
	refused(t, err, 0x81)
	if got := err.Error(); !strings.Contains(got, "0x81") || !strings.Contains(got, "[MQTT-2.1.3-1]") {
		t.Errorf("%q does not name code and rule", got)
	}
	var p message.Publish
	if code, rule := ReasonOf(fmt.Errorf("publish: %w", p.Parse(4, 0x36, nil))); code != 0x81 || rule != "[MQTT-3.3.1-4]" {
		t.Errorf("QoS 3: 0x%02X %q", code, rule)
	}
	if code, rule := ReasonOf(fmt.Errorf("other")); code != CodeUnspecifiedError || rule != "" {
		t.Errorf("another error: 0x%02X %q", code, rule)
	}
}

// A panic in a decoder costs its packet and names itself.
func TestRescue(t *testing.T) {
	decode := func() (pk *packets.Packet, err error) {
		defer rescue(&pk, &err)
		pk = &packets.Packet{}
		panic("a bug")
	}
	pk, err := decode()
	if code, rule := ReasonOf(err); pk != nil || code != 0x81 || rule != rulePanic+"a bug" {
		t.Errorf("%v, 0x%02X %q", pk, code, rule)
	}
}
