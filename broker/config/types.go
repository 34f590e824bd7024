package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// text is a type that is written as text and read with its own rules.
type text interface {
	parse(s string) error
	String() string
}

// Duration is a span of time, written as a number and a unit: 500ms, 10s, 5m, 24h,
// 7d, or several of them (1h30m). 0 needs no unit.
type Duration time.Duration

// Never is the Duration without an end, written "never" where a key allows it.
const Never Duration = math.MaxInt64

// Std returns it for package time. Never is about 292 years.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Seconds returns whole seconds as MQTT counts the life of a session: Never, and
// what does not fit, is 0xFFFFFFFF [MQTT-3.1.2.11.2].
func (d Duration) Seconds() uint32 {
	return uint32(min(max(int64(d)/int64(time.Second), 0), math.MaxUint32))
}

// String returns it as it is written in a file.
func (d Duration) String() string {
	switch d {
	case Never:
		return "never"
	case 0:
		return "0"
	}
	const day = 24 * time.Hour
	if t := d.Std(); t%day == 0 {
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	s := d.Std().String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var errDuration = errors.New("must be a duration such as 500ms, 10s, 5m, 24h or 7d")

func (d *Duration) parse(s string) error {
	if s == "never" {
		*d = Never
		return nil
	}
	var days int64
	if n, rest, ok := strings.Cut(s, "d"); ok {
		v, err := strconv.ParseUint(n, 10, 32)
		if err != nil || int64(v) > math.MaxInt64/int64(24*time.Hour) {
			return errDuration
		}
		days, s = int64(v)*int64(24*time.Hour), rest
		if s == "" {
			*d = Duration(days)
			return nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 || strings.ContainsAny(s, "+-") || int64(v) > math.MaxInt64-days-1 {
		return errDuration
	}
	*d = Duration(days + int64(v))
	return nil
}

// Size is a number of bytes, written with a unit of 1024: 512B, 64KiB, 8MiB, 1GiB.
// A number without one is bytes.
type Size int64

// The units of a Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

var sizeUnits = []struct {
	name string
	size Size
}{{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", 1}}

// String returns it as it is written in a file, in the largest whole unit.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits {
		if s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) // not reached: every size is whole in B
}

var errSize = errors.New("must be a size such as 512B, 64KiB, 8MiB or 1GiB")

func (s *Size) parse(in string) error {
	unit := Size(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(in, u.name); ok {
			in, unit = n, u.size
			break
		}
	}
	v, err := strconv.ParseUint(in, 10, 63)
	if err != nil || int64(v) > math.MaxInt64/int64(unit) {
		return errSize
	}
	*s = Size(v) * unit
	return nil
}

// Mode is the permission bits of a file, written in octal: 0660.
type Mode uint32

// String returns it as it is written in a file.
func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

var errMode = errors.New("must be octal permissions such as 0660")

func (m *Mode) parse(s string) error {
	v, err := strconv.ParseUint(s, 8, 32)
	if err != nil || v > 0o777 {
		return errMode
	}
	*m = Mode(v)
	return nil
}

// Network is a range of addresses, written as 10.0.0.0/8 or as one address.
type Network netip.Prefix

// Prefix returns it for package netip.
func (n Network) Prefix() netip.Prefix { return netip.Prefix(n) }

// String returns it as it is written in a file.
func (n Network) String() string { return n.Prefix().String() }

var errNetwork = errors.New("must be an address or a network such as 10.0.0.0/8")

func (n *Network) parse(s string) error {
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return fmt.Errorf("has bits set beyond its length; write %s", p.Masked())
		}
		*n = Network(p)
		return nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return errNetwork
	}
	*n = Network(netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
	return nil
}

// Prefixes returns networks for package netip.
func Prefixes(ns []Network) []netip.Prefix {
	ps := make([]netip.Prefix, len(ns))
	for i, n := range ns {
		ps[i] = n.Prefix()
	}
	return ps
}
