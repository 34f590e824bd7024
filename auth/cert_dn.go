package auth

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
)

// attributeNames are those of RFC 2253 section 2.3 and two that other programs
// print so too.
var attributeNames = map[string]string{
	"2.5.4.3":                    "CN",
	"2.5.4.5":                    "serialNumber",
	"2.5.4.6":                    "C",
	"2.5.4.7":                    "L",
	"2.5.4.8":                    "ST",
	"2.5.4.9":                    "STREET",
	"2.5.4.10":                   "O",
	"2.5.4.11":                   "OU",
	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.25": "DC",
	"1.2.840.113549.1.9.1":       "emailAddress",
}

// distinguishedName spells a name in DER as RFC 2253 says: the last part first, as
// in CN=ann,OU=sales,O=Example. It is empty for a name without parts and for what is
// no name.
func distinguishedName(der []byte) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &rdns); err != nil || len(rest) > 0 {
		return ""
	}
	var b strings.Builder
	for i := len(rdns) - 1; i >= 0; i-- {
		if i < len(rdns)-1 {
			b.WriteByte(',')
		}
		for j, a := range rdns[i] {
			if j > 0 {
				b.WriteByte('+')
			}
			writeAttribute(&b, a)
		}
	}
	return b.String()
}

// writeAttribute writes type=value, or, for a type without name or a value that is no
// text, the value in hexadecimal DER (RFC 2253 section 2.4).
func writeAttribute(b *strings.Builder, a pkix.AttributeTypeAndValue) {
	oid := a.Type.String()
	name, known := attributeNames[oid]
	text, isText := a.Value.(string)
	if known && isText {
		b.WriteString(name + "=")
		escapeDN(b, text)
		return
	}
	der, err := asn1.Marshal(a.Value)
	if err != nil {
		der = nil // it was read from DER; an unknown kind has no value to compare with
	}
	b.WriteString(oid + "=#" + hex.EncodeToString(der))
}

// escapeDN writes a value with what has a meaning in a name escaped, so that no value
// can look like another part.
func escapeDN(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		edge := c == ' ' && (i == 0 || i == len(s)-1) || c == '#' && i == 0
		switch {
		case edge, strings.IndexByte(`,+"\<>;=`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			b.WriteString(`\` + strings.ToUpper(hex.EncodeToString([]byte{c})))
		default:
			b.WriteByte(c)
		}
	}
}
