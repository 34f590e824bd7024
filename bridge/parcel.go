package bridge

import (
	"encoding/binary"
	"errors"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// A parcel is what one entry of an inbox, or one message on a channel, carries: version,
// sender, number, then records. Sender is a text behind its length, number and length are
// unsigned varints. On a channel the sender is its own mailbox, and the number how many
// bytes it sent there before. A record is its kind, its length (4 bytes, little endian)
// and so many bytes.
const parcelVersion = 1

// Kinds of records.
const (
	recordBundle byte = iota + 1
	recordControl
	recordTaken // on a channel: up to which number what was sent to a mailbox was taken
)

const recordHead = 5

// errParcel is what an entry is answered with that is damaged or of a newer format.
var errParcel = errors.New("bridge: damaged batch, or one of a newer version")

// parcel is a batch on its way to one mailbox.
type parcel struct {
	number uint64
	buf    []byte
	head   int // bytes before the first record
	items  int // messages in it
	dones  []store.Committed
}

func (p *parcel) begin(sender string, number uint64) {
	p.number, p.items = number, 0
	p.buf = appendString(append(p.buf[:0], parcelVersion), sender)
	p.buf = binary.AppendUvarint(p.buf, number)
	p.head = len(p.buf)
	p.dones = p.dones[:0]
}

// bundle encodes b behind what is there.
func (p *parcel) bundle(b *message.Bundle) {
	at := len(p.buf)
	p.buf = b.Append(append(p.buf, recordBundle, 0, 0, 0, 0))
	p.length(at)
	p.items += len(b.Items)
}

// other puts a record that is no message behind what is there.
func (p *parcel) other(kind byte, payload []byte) {
	at := len(p.buf)
	p.buf = append(append(p.buf, kind, 0, 0, 0, 0), payload...)
	p.length(at)
}

// length fills in the length of the record that begins at at.
func (p *parcel) length(at int) {
	binary.LittleEndian.PutUint32(p.buf[at+1:], uint32(len(p.buf)-at-recordHead)) //nolint:gosec // a bundle is far smaller
}

// openParcel reads the head of a parcel and answers its records.
func openParcel(data []byte) (sender string, number uint64, rest []byte, err error) {
	if len(data) == 0 || data[0] != parcelVersion {
		return "", 0, nil, errParcel
	}
	n, k := binary.Uvarint(data[1:])
	if k <= 0 || n > uint64(len(data)-1-k) {
		return "", 0, nil, errParcel
	}
	data = data[1+k:]
	sender, data = string(data[:n]), data[n:]
	number, k = binary.Uvarint(data)
	if k <= 0 {
		return "", 0, nil, errParcel
	}
	return sender, number, data[k:], nil
}

// walk takes a parcel apart. visit gets each record; an error of its ends the walk.
func walk(data []byte, visit func(kind byte, payload []byte) error) error {
	_, _, data, err := openParcel(data)
	if err != nil {
		return err
	}
	return walkRecords(data, visit)
}

func walkRecords(data []byte, visit func(kind byte, payload []byte) error) error {
	for len(data) > 0 {
		if len(data) < recordHead {
			return errParcel
		}
		kind, n := data[0], uint64(binary.LittleEndian.Uint32(data[1:]))
		data = data[recordHead:]
		if n > uint64(len(data)) {
			return errParcel
		}
		if err := visit(kind, data[:n:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// oneBundle reads a record that is a bundle and nothing else.
func oneBundle(payload []byte) (*message.Bundle, error) {
	b := new(message.Bundle)
	rest, err := b.Parse(payload)
	if err != nil || len(rest) > 0 {
		return nil, errParcel
	}
	return b, nil
}
