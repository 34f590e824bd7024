package disk

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// mergerName is written into the store's files: it stands for the encoding below.
const mergerName = "skein.body.1"

// A shared body is one key that counts its references. An operand is a signed
// number and, in those that put the body there, the message. The sum of all
// operands is the number of entries that refer to it; with a sum of 0 the key
// reads as absent and the next compaction takes it away.

func appendRefs(dst []byte, n int64) []byte { return binary.AppendVarint(append(dst, valueVersion), n) }

// refsRoom is an upper bound of what appendRefs writes.
const refsRoom = 1 + binary.MaxVarintLen64

func parseRefs(b []byte) (n int64, body []byte, err error) {
	p := parser{b: b}
	if err := p.version("body"); err != nil {
		return 0, nil, err
	}
	if n = p.varint(); p.bad {
		return 0, nil, p.end("body")
	}
	return n, p.b, nil
}

// refs adds up operands.
type refs struct {
	n    int64
	body []byte
}

func newRefs(_, value []byte) (pebble.ValueMerger, error) {
	r := new(refs)
	return r, r.MergeOlder(value)
}

// MergeNewer implements pebble.ValueMerger.
func (r *refs) MergeNewer(value []byte) error {
	n, body, err := parseRefs(value)
	if err != nil {
		return err
	}
	r.n += n
	if len(body) > 0 {
		r.body = slices.Clone(body)
	}
	return nil
}

// MergeOlder implements pebble.ValueMerger.
func (r *refs) MergeOlder(value []byte) error {
	n, body, err := parseRefs(value)
	if err != nil {
		return err
	}
	r.n += n
	if len(body) > 0 && r.body == nil {
		r.body = slices.Clone(body)
	}
	return nil
}

// Finish implements pebble.ValueMerger.
func (r *refs) Finish(bool) ([]byte, io.Closer, error) {
	return append(appendRefs(make([]byte, 0, refsRoom+len(r.body)), r.n), r.body...), nil, nil
}

// DeletableFinish implements pebble.DeletableValueMerger. The oldest operand has
// the message, so a sum with the message is the whole one up to its newest
// operand; and none follows a sum of 0, for the committer never adds to a body
// that has no references left.
func (r *refs) DeletableFinish(includesBase bool) ([]byte, bool, io.Closer, error) {
	if r.n == 0 && (includesBase || r.body != nil) {
		return nil, true, nil, nil
	}
	v, c, err := r.Finish(includesBase)
	return v, false, c, err
}

var merger = &pebble.Merger{Name: mergerName, Merge: newRefs}

// parseShared reads a body as it is stored, with all operands summed up.
func parseShared(b []byte) ([]byte, error) {
	n, body, err := parseRefs(b)
	if err == nil && (n <= 0 || len(body) == 0) {
		err = fmt.Errorf("body with %d references and %d bytes: %w", n, len(body), ErrDamaged)
	}
	return body, err
}
