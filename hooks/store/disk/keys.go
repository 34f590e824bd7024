package disk

import (
	"encoding/binary"

	"github.com/skeinmq/skein/broker/message"
)

// The first byte of a key is its space. Numbers are big-endian, so that bytes
// sort as numbers do.
const (
	spaceNode     = 'A' // one key: the numbers that were given out
	spaceClient   = 'C' // client id -> session number
	spaceDoomed   = 'D' // session number whose records are being taken away
	spaceGroup    = 'G' // length and name of a group, Seq -> message
	spaceInflight = 'I' // session number, Seq -> state
	spaceDelayed  = 'L' // Seq -> time, message
	spaceBody     = 'M' // body number -> message
	spaceCount    = 'N' // body number -> how many entries refer to it
	spaceQueue    = 'Q' // session number, Seq -> entry
	spaceReceived = 'R' // session number, packet identifier
	spaceSession  = 'S' // session number, part -> see below
	spaceRetained = 'T' // topic -> message
	spaceFormat   = 'F' // one key: the number of the format
)

// The parts of a session in spaceSession: everything that start-up reads.
const (
	partHead   = 0
	partFigure = 1
	partSub    = 2 // and the filter
	partCursor = 3 // and the filter
)

// number is a session's, for one life of it: a session that is deleted and made
// anew has another, so nothing of the old one can show in the new.
type number uint64

var (
	keyNode   = []byte{spaceNode}
	keyFormat = []byte{spaceFormat}
)

func appendNumber(dst []byte, space byte, n number) []byte {
	return binary.BigEndian.AppendUint64(append(dst, space), uint64(n))
}

func appendClient(dst []byte, id message.ClientID) []byte {
	return append(append(dst, spaceClient), id...)
}

func appendPart(dst []byte, n number, part byte) []byte {
	return append(appendNumber(dst, spaceSession, n), part)
}

func appendSeq(dst []byte, space byte, n number, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(appendNumber(dst, space, n), seq)
}

func appendReceived(dst []byte, n number, id message.PacketID) []byte {
	return binary.BigEndian.AppendUint16(appendNumber(dst, spaceReceived, n), uint16(id))
}

func appendBody(dst []byte, space byte, body uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, space), body)
}

func appendRetained(dst []byte, topic string) []byte {
	return append(append(dst, spaceRetained), topic...)
}

func appendDelayed(dst []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, spaceDelayed), seq)
}

// appendGroup: the length before the name keeps groups apart that are prefixes of
// each other. A filter is at most 65,535 bytes [MQTT-1.5.4], its group's name and
// the slash included.
func appendGroup(dst []byte, group string, seq uint64) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, spaceGroup), uint32(len(group)))
	return binary.BigEndian.AppendUint64(append(dst, group...), seq)
}

// The lengths of keys that are fixed.
const (
	lenNumbered = 1 + 8
	lenPart     = 1 + 8 + 1
	lenSeq      = 1 + 8 + 8
	lenReceived = 1 + 8 + 2
)

func keyNumber(key []byte) number { return number(binary.BigEndian.Uint64(key[1:])) }

func keySeq(key []byte) uint64 { return binary.BigEndian.Uint64(key[9:]) }

func splitGroup(key []byte) (group string, seq uint64, ok bool) {
	if len(key) < 13 {
		return "", 0, false
	}
	n := binary.BigEndian.Uint32(key[1:])
	if uint64(n)+13 != uint64(len(key)) {
		return "", 0, false
	}
	return string(key[5 : 5+n]), binary.BigEndian.Uint64(key[5+n:]), true
}

// after is the first key that does not begin with prefix. No prefix here ends in
// 0xFF alone: the first byte is a letter.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for end[len(end)-1] == 0xFF {
		end = end[:len(end)-1]
	}
	end[len(end)-1]++
	return end
}
