package bridge

import (
	"encoding/binary"
	"fmt"
)

// decoder reads fields off a value; after the first that does not fit everything is zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.b, d.bad = nil, true }

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uint64() uint64 {
	if len(d.b) < 8 {
		d.fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(d.b)
	d.b = d.b[8:]
	return n
}

func (d *decoder) uvarint() uint64 {
	n, k := binary.Uvarint(d.b)
	if k <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[k:]
	return n
}

func (d *decoder) uint32() uint32 {
	n := d.uvarint()
	if n > 0xFFFFFFFF {
		d.fail()
		return 0
	}
	return uint32(n)
}

// int reads what counts things, which fits 31 bits.
func (d *decoder) int() int {
	n := d.uvarint()
	if n > 0x7FFFFFFF {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) varint() int64 {
	n, k := binary.Varint(d.b)
	if k <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[k:]
	return n
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

// flags reads flags of which only those in known may be set.
func (d *decoder) flags(known byte) byte {
	f := d.byte()
	if f&^known != 0 {
		d.fail()
		return 0
	}
	return f
}

// version reads the first byte of a value.
func (d *decoder) version() error {
	switch v := d.byte(); {
	case d.bad || v == 0:
		return ErrRecord
	case v > recordVersion:
		return fmt.Errorf("%w (%d)", ErrNewer, v)
	}
	return nil
}

// end says whether everything fitted and nothing is left.
func (d *decoder) end() error {
	if d.bad || len(d.b) > 0 {
		return ErrRecord
	}
	return nil
}
