package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// routeVersion is the format of an entry of the route stream: version, mailbox, then for
// each change a flag, the key and, unless it is deleted, the members online. Lengths and
// numbers are unsigned varints.
const routeVersion = 1

const (
	routeAdd byte = iota + 1
	routeDelete
)

// errRoute is what an entry is answered with that is damaged or of a newer format.
var errRoute = errors.New("bridge: damaged route change, or one of a newer version")

func appendRoutes(dst []byte, box message.MailboxID, changes []store.RouteChange) []byte {
	dst = appendString(append(dst, routeVersion), string(box))
	for i := range changes {
		c := &changes[i]
		if c.Delete {
			dst = appendString(append(dst, routeDelete), c.Key)
			continue
		}
		dst = appendString(append(dst, routeAdd), c.Key)
		dst = binary.AppendUvarint(dst, uint64(max(c.Online, 0)))
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// parseRoutes reads an entry and appends its changes to dst.
func parseRoutes(dst []store.RouteChange, data string) ([]store.RouteChange, message.MailboxID, error) {
	if data == "" || data[0] != routeVersion {
		return dst, "", errRoute
	}
	box, data, ok := cutString(data[1:])
	if !ok || box == "" {
		return dst, "", errRoute
	}
	for data != "" {
		c := store.RouteChange{Box: message.MailboxID(box), Delete: data[0] == routeDelete}
		if data[0] != routeAdd && data[0] != routeDelete {
			return dst, "", errRoute
		}
		if c.Key, data, ok = cutString(data[1:]); !ok || c.Key == "" {
			return dst, "", errRoute
		}
		c.Key = strings.Clone(c.Key) // it is kept, the entry is not
		if !c.Delete {
			n, rest, ok := cutNumber(data)
			if !ok || n > maxOnline {
				return dst, "", errRoute
			}
			c.Online, data = int(n), rest
		}
		dst = append(dst, c)
	}
	return dst, message.MailboxID(box), nil
}

const maxOnline = 1 << 30

func cutNumber(data string) (uint64, string, bool) {
	var n uint64
	for i := 0; i < len(data) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(data[i]&0x7f) << (7 * i)
		if data[i] < 0x80 {
			return n, data[i+1:], true
		}
	}
	return 0, "", false
}

func cutString(data string) (s, rest string, ok bool) {
	n, rest, ok := cutNumber(data)
	if !ok || n > uint64(len(rest)) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

// isGroup says that a key's value in a mailbox's set is a number of members.
func isGroup(key string) bool { return strings.HasPrefix(key, "$share/") }

// setValue is the value of a key in a mailbox's set.
func setValue(key string, online int) string {
	if !isGroup(key) {
		return ""
	}
	return strconv.Itoa(online)
}

// fromSet reads a field of a mailbox's set. A value that is no number counts as nobody
// online: the group is still there.
func fromSet(box message.MailboxID, key, value string) store.RouteChange {
	c := store.RouteChange{Box: box, Key: key}
	if n, err := strconv.Atoi(value); err == nil && n > 0 && n <= maxOnline {
		c.Online = n
	}
	return c
}

// position reads the id of a stream's entry, N-0.
func position(id string) (message.Position, error) {
	num, rest, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(num, 10, 64)
	if err != nil || rest != "0" {
		return 0, fmt.Errorf("bridge: entry %q was not written by a bridge", id)
	}
	return message.Position(n), nil
}

// entryID is the id of the entry at a position.
func entryID(at message.Position) string { return strconv.FormatUint(uint64(at), 10) + "-0" }
