package store

import "fmt"

// Check says why a batch cannot be applied as a whole: an operation of an unknown
// kind, of another owner, or with nothing to write. A store refuses such a batch.
func (b *Batch) Check() error {
	for i := range b.Ops {
		op := &b.Ops[i]
		ofNode, lacks := false, false
		switch op.Kind {
		case KindSession:
			lacks = op.Session == nil
		case KindSubscription:
			lacks = op.Sub == nil
		case KindEntry:
			lacks = op.Entry.Msg == nil
		case KindState, KindReceived:
		case KindCursor:
			lacks = op.Cursor == nil
		case KindRetained, KindDelayed, KindGroupEntry:
			ofNode, lacks = true, op.Msg == nil
		default:
			return fmt.Errorf("store: operation %d has unknown kind %d", i, op.Kind)
		}
		joins := op.Kind == KindGroupEntry && op.Delete || op.Kind == KindDelayed && !op.Delete
		if ofNode != (b.Client == "") && (!ofNode || !joins) {
			return fmt.Errorf("store: operation %d of kind %d is of another owner", i, op.Kind)
		}
		if lacks && !op.Delete {
			return fmt.Errorf("store: operation %d of kind %d has nothing to write", i, op.Kind)
		}
	}
	return nil
}
