package bridge

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

func sortEntries(list []store.StoredEntry) {
	slices.SortFunc(list, func(a, b store.StoredEntry) int { return cmp.Compare(a.Seq, b.Seq) })
}

func sortCursors(list []store.Cursor) {
	slices.SortFunc(list, func(a, b store.Cursor) int { return cmp.Compare(a.Filter, b.Filter) })
}

// pageSlack is what a step may read beyond the bytes of a page: it counts names that a
// message's size does not.
const pageSlack = 16 << 10

// Page implements store.Pager.
func (r *records) Page(ctx context.Context, id message.ClientID, after uint64, most int, bytes int64) ([]store.Entry, error) {
	base := r.keys.session(id)
	room := min(bytes, math.MaxInt32-pageSlack) + pageSlack
	v, err := r.read(ctx, stepPage, base+sessionHead, strconv.FormatUint(after, 10)+"-1", most, room)
	if err != nil {
		return nil, fmt.Errorf("page of a session: %w", err)
	}
	if v == int64(0) {
		return nil, store.ErrNotFound
	}
	list, err := fieldPairs(v)
	if err != nil {
		return nil, damaged(base+sessionQueue, err)
	}
	var t texts
	entries := make([]store.Entry, 0, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		e, err := t.readEntry(list[i], list[i+1])
		if err != nil {
			return nil, damaged(base+sessionQueue, err)
		}
		if bytes -= int64(e.Msg.Size()); i > 0 && bytes < 0 {
			break
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (t *texts) readEntry(id, value string) (store.Entry, error) {
	seq, err := parseEntryID(id)
	if err != nil {
		return store.Entry{}, err
	}
	return t.entry([]byte(value), seq)
}

// known says which messages of QoS 2 the session has had. What was handed in before is
// not waited for: see idle.
func (r *records) known(ctx context.Context, id message.ClientID, ids []message.ID) ([]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	key := r.keys.session(id) + sessionKnown
	args := make([]any, 2, 2+len(ids))
	args[0], args[1] = "zmscore", key
	for _, m := range ids {
		args = append(args, appendID(nil, m))
	}
	var v any
	err := r.asks(ctx, "read known messages", func(ctx context.Context) (err error) {
		v, err = r.client.Do(ctx, args...).Result()
		return err //nolint:wrapcheck // retry says what was attempted
	})
	if err != nil {
		return nil, r.readError(key, err)
	}
	list, ok := v.([]any)
	if !ok || len(list) != len(ids) {
		return nil, damaged(key, ErrRecord)
	}
	out := make([]bool, len(ids))
	for i := range list {
		out[i] = list[i] != nil
	}
	return out, nil
}
