package wire

import (
	"testing"
)

func TestRefuseConnect(t *testing.T) {
	testRefusals(t, []refusal{
		{"[MQTT-3.1.2-1] another protocol name", 0, "10 0004'mqtt' 04 02 0000 0001'c'", 0x84},
		{"[MQTT-3.1.2-2] level 6", 0, "10 0004'MQTT' 06 02 0000 00 0001'c'", 0x84},
		{"[MQTT-3.1.2-2] level 3 of MQTT", 0, "10 0004'MQTT' 03 02 0000 0001'c'", 0x84},
		{"[MQTT-3.1.2-2] level 4 of MQIsdp", 0, "10 0006'MQIsdp' 04 02 0000 0001'c'", 0x84},
		{"a bridge that tries its own kind", 0, "10 0004'MQTT' 84 02 0000 0001'c'", 0x84},
		{"protocol name cut off", 0, "10 0004'MQT'", 0x81},
		{"nothing after the level", 0, "10 0004'MQTT' 04", 0x81},
		{"keep alive cut off", 0, "10 0004'MQTT' 04 02 00", 0x81},
		{"[MQTT-3.1.2-3] reserved flag, 3.1.1", 0, "10 0004'MQTT' 04 03 0000 0001'c'", 0x81},
		{"[MQTT-3.1.2-3] reserved flag, 5", 0, "10 0004'MQTT' 05 03 0000 00 0001'c'", 0x81},
		{"[MQTT-3.1.2-12] will QoS 3", 0, "10 0004'MQTT' 04 1e 0000 0001'c' 0001't' 0000", 0x81},
		{"[MQTT-3.1.2-11] will QoS without a will", 0, "10 0004'MQTT' 04 0a 0000 0001'c'", 0x82},
		{"[MQTT-3.1.2-13] will retain without a will", 0, "10 0004'MQTT' 05 22 0000 00 0001'c'", 0x82},
		{"3.1.1 password without a user name", 0, "10 0004'MQTT' 04 42 0000 0001'c' 0001'p'", 0x81},
		{"[MQTT-3.1.3-3] no client identifier", 0, "10 0004'MQTT' 04 02 0000", 0x81},
		{"[MQTT-3.1.3-4] client identifier not UTF-8", 0, "10 0004'MQTT' 04 02 0000 0001 ff", 0x81},
		{"[MQTT-1.5.4-2] client identifier with U+0000", 0, "10 0004'MQTT' 05 02 0000 00 0001 00", 0x81},
		{"3.1.1 empty client identifier without Clean Session", 0, "10 0004'MQTT' 04 00 0000 0000", 0x85},
		{"3.1 empty client identifier", 0, "10 0006'MQIsdp' 03 02 0000 0000", 0x85},
		{"will topic missing", 0, "10 0004'MQTT' 04 06 0000 0001'c'", 0x81},
		{"will payload missing", 0, "10 0004'MQTT' 04 06 0000 0001'c' 0001't'", 0x81},
		{"[MQTT-4.7.3-1] empty will topic", 0, "10 0004'MQTT' 04 06 0000 0001'c' 0000 0000", 0x82},
		{"[MQTT-4.7.1-1] wildcard in the will topic", 0, "10 0004'MQTT' 04 06 0000 0001'c' 0001'#' 0000", 0x82},
		{"[MQTT-3.1.3-11] will topic not UTF-8", 0, "10 0004'MQTT' 04 06 0000 0001'c' 0001 ff 0000", 0x81},
		{"[MQTT-3.1.2-17] user name missing", 0, "10 0004'MQTT' 04 82 0000 0001'c'", 0x81},
		{"[MQTT-3.1.3-12] user name not UTF-8", 0, "10 0004'MQTT' 04 82 0000 0001'c' 0001 ff", 0x81},
		{"[MQTT-3.1.2-19] password missing", 0, "10 0004'MQTT' 04 c2 0000 0001'c' 0001'u'", 0x81},
		{"password cut off", 0, "10 0004'MQTT' 04 c2 0000 0001'c' 0001'u' 0002'p'", 0x81},
		{"[MQTT-3.1.2-16] user name without its flag", 0, "10 0004'MQTT' 04 02 0000 0001'c' 0001'u'", 0x81},
		{"bytes left over", 0, "10 0004'MQTT' 05 02 0000 00 0001'c' 00", 0x81},
		{"no property length", 0, "10 0004'MQTT' 05 02 0000", 0x81},
		{"3.1.2.11.2 session expiry twice", 0, "10 0004'MQTT' 05 02 0000 0a 1100000001 1100000001 0001'c'", 0x82},
		{"3.1.2.11.3 Receive Maximum 0", 0, "10 0004'MQTT' 05 02 0000 03 210000 0001'c'", 0x82},
		{"3.1.2.11.4 Maximum Packet Size 0", 0, "10 0004'MQTT' 05 02 0000 05 2700000000 0001'c'", 0x82},
		{"3.1.2.11.6 Request Response Information 2", 0, "10 0004'MQTT' 05 02 0000 02 1902 0001'c'", 0x82},
		{"3.1.2.11.7 Request Problem Information 2", 0, "10 0004'MQTT' 05 02 0000 02 1702 0001'c'", 0x82},
		{"3.1.2.11.9 method twice", 0, "10 0004'MQTT' 05 02 0000 08 15 0001'a' 15 0001'b' 0001'c'", 0x82},
		{"3.1.2.11.10 data without a method", 0, "10 0004'MQTT' 05 02 0000 04 16 0001'd' 0001'c'", 0x82},
		{"[MQTT-4.12.0-1] empty method", 0, "10 0004'MQTT' 05 02 0000 03 15 0000 0001'c'", 0x8c},
		{"property of CONNACK", 0, "10 0004'MQTT' 05 02 0000 02 2401 0001'c'", 0x81},
		{"property of the will", 0, "10 0004'MQTT' 05 02 0000 05 1800000001 0001'c'", 0x81},
		{"will property of the packet", 0, "10 0004'MQTT' 05 06 0000 00 0001'c' 05 1100000001 0001't' 0000", 0x81},
		{"3.1.3.2.3 will payload format 2", 0, "10 0004'MQTT' 05 06 0000 00 0001'c' 02 0102 0001't' 0000", 0x82},
		{"3.1.3.2.2 will delay twice", 0, "10 0004'MQTT' 05 06 0000 00 0001'c' 0a 1800000001 1800000001 0001't' 0000", 0x82},
		{"[MQTT-3.3.2-14] wildcard in the will's response topic", 0,
			"10 0004'MQTT' 05 06 0000 00 0001'c' 04 08 0001'+' 0001't' 0000", 0x82},
	})
}

func TestConnect(t *testing.T) {
	pk, err := decodeBody(t, 0, "10 0004'MQTT' 05 f6 003c"+
		"1b 11 00000e10 17 00 19 01 21 0014 22 0005 26 0001'k' 0001'v' 27 00010000"+ // properties
		"0002'id' 0c 01 01 18 00000005 02 00000009 0002'wt' 0002'wp' 0004'user' 0002 ff00")
	if err != nil {
		t.Fatal(err)
	}
	c, p, w := &pk.Connect, &pk.Properties, &pk.Connect.WillProperties
	if pk.ProtocolVersion != 5 || !c.Clean || c.Keepalive != 60 || c.ClientIdentifier != "id" ||
		c.WillTopic != "wt" || string(c.WillPayload) != "wp" || c.WillQos != 2 || !c.WillRetain || !c.WillFlag ||
		string(c.Username) != "user" || string(c.Password) != "\xff\x00" {
		t.Errorf("connect %+v", c)
	}
	if p.SessionExpiryInterval != 3600 || !p.SessionExpiryIntervalFlag || !p.RequestProblemInfoFlag || p.RequestProblemInfo != 0 ||
		p.RequestResponseInfo != 1 || p.ReceiveMaximum != 20 || p.TopicAliasMaximum != 5 || p.MaximumPacketSize != 1<<16 || len(p.User) != 1 {
		t.Errorf("properties %+v", p)
	}
	if w.PayloadFormat != 1 || !w.PayloadFormatFlag || w.WillDelayInterval != 5 || w.MessageExpiryInterval != 9 {
		t.Errorf("will properties %+v", w)
	}
}

func TestConnectVariants(t *testing.T) {
	for _, tt := range []struct {
		name, frame string
		version     byte
	}{
		{"3.1", "10 0006'MQIsdp' 03 02 0000 0001'c'", 3},
		{"3.1 ignores the reserved bit", "10 0006'MQIsdp' 03 03 0000 0001'c'", 3},
		{"3.1 ignores will bits without a will", "10 0006'MQIsdp' 03 2a 0000 0001'c'", 3},
		{"3.1 may leave out user name and password", "10 0006'MQIsdp' 03 c2 0000 0001'c'", 3},
		{"3.1 may leave out the password", "10 0006'MQIsdp' 03 c2 0000 0001'c' 0001'u'", 3},
		{"3.1 with more than 23 characters", "10 0006'MQIsdp' 03 02 0000 0018'abcdefghijklmnopqrstuvwx'", 3},
		{"[MQTT-3.1.3-6] 3.1.1 empty client identifier", "10 0004'MQTT' 04 02 0000 0000", 4},
		{"[MQTT-3.1.3-6] 5 empty client identifier without Clean Start", "10 0004'MQTT' 05 00 0000 00 0000", 5},
		{"5 password without a user name", "10 0004'MQTT' 05 42 0000 00 0001'c' 0001'p'", 5},
		{"empty will payload and password", "10 0004'MQTT' 04 c6 0000 0001'c' 0001't' 0000 0000 0000", 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pk, err := decodeBody(t, 0, tt.frame)
			if err != nil {
				t.Fatal(err)
			}
			c := &pk.Connect
			if pk.ProtocolVersion != tt.version {
				t.Errorf("version %d", pk.ProtocolVersion)
			}
			if !c.WillFlag && (c.WillQos != 0 || c.WillRetain) {
				t.Errorf("will bits without a will: %+v", c)
			}
			if c.UsernameFlag != (c.Username != nil) || c.PasswordFlag != (c.Password != nil) || c.WillFlag != (c.WillPayload != nil) {
				t.Errorf("flags and fields disagree: %+v", c)
			}
		})
	}
}

func TestConnectVersion(t *testing.T) {
	for frame, want := range map[string]byte{
		"0006'MQIsdp' 03": 3, "0006'MQIsdp' 83": 3, "0004'MQTT' 04": 4, "0004'MQTT' 84": 4, "0004'MQTT' 03": 4,
		"0004'MQTT' 05": 5, "0004'MQTT' 06": 5, "0004'mqtt' 04": 0, "0004'MQTT'": 0, "": 0, "0009'MQTT'": 0,
	} {
		if got := ConnectVersion(unhex(t, frame)); got != want {
			t.Errorf("%s is answered in version %d, want %d", frame, got, want)
		}
	}
}
