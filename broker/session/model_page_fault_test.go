package session

import (
	"testing"

	"github.com/skeinmq/skein/hooks/store"
)

type believing struct{ *Session } // takes a page that no longer fits

func (f believing) Paged(o *Output, p Page, entries []store.Entry) {
	p.After = f.after
	f.Session.Paged(o, p, entries)
}

type adopting struct{ *Session } // takes a page of the session before it

func (f adopting) Paged(o *Output, p Page, entries []store.Entry) {
	p.of = f.Session
	f.Session.Paged(o, p, entries)
}

type skipping struct{ *Session } // does not go back for what it leaves to the store

func (f skipping) Disconnected() {
	after := f.after
	f.Session.Disconnected()
	f.after = after
}

type repeating struct{ *Session } // reads what it has

func (f repeating) WantsPage() (Page, bool) {
	p, ok := f.Session.WantsPage()
	if p.After > 0 {
		p.After--
	}
	return p, ok
}

type hoarding struct{ *Session } // keeps the queue in memory

func (f hoarding) Disconnected() {
	n := f.limits.PageMessages
	f.limits.PageMessages = 0
	f.Session.Disconnected()
	f.limits.PageMessages = n
}

type overtaking struct{ *Session } // puts a message before what is in the store

func (f overtaking) Enqueue(o *Output, e Entry) bool {
	r := *f.own()
	f.rest.messages, f.rest.bytes = 0, 0
	ok := f.Session.Enqueue(o, e)
	f.own().messages += r.messages
	f.rest.bytes += r.bytes
	return ok
}

type impatientJoin struct{ *Session } // takes the newest for the next

func (f impatientJoin) Fill(o *Output, now int64, room int) bool {
	r := *f.rest
	if r.messages > 0 && r.fresh.n > 0 {
		f.rest.messages = 0
		f.join()
		f.rest.messages, f.rest.bytes = r.messages, r.bytes
	}
	return f.Session.Fill(o, now, room)
}

type forgiving struct{ *Session } // never drops what was in the store

func (f forgiving) Paged(o *Output, p Page, entries []store.Entry) {
	f.own().owes = false
	f.Session.Paged(o, p, entries)
}

type boundless struct{ *Session } // lets in more than a page above the limit

func (f boundless) Enqueue(o *Output, e Entry) bool {
	l := f.limits
	if f.oldest() == nil {
		f.limits.Messages, f.limits.Bytes = 0, 0
	}
	defer func() { f.limits = l }()
	return f.Session.Enqueue(o, e)
}

type miscounting struct{ *Session } // does not count what it drops from a page

func (f miscounting) Paged(o *Output, p Page, entries []store.Entry) {
	was := o.Dropped
	o.Dropped = func(e *Entry, why Drop) { was(e, why); f.rest.messages++ }
	defer func() { o.Dropped = was }()
	f.Session.Paged(o, p, entries)
}

type unsaid struct{ *Session } // drops from a page without a word

func (f unsaid) Paged(o *Output, p Page, entries []store.Entry) {
	was := o.Dropped
	o.Dropped = nil
	defer func() { o.Dropped = was }()
	f.Session.Paged(o, p, entries)
}

type reviving struct{ *Session } // leaves the records of what it drops from a page

func (f reviving) Paged(o *Output, p Page, entries []store.Entry) {
	f.Session.Paged(o, p, entries)
	o.Ops = nil
}

type doubling struct{ *Session } // has the queue from its image and from the store

func (f doubling) Load(img *store.Image) {
	f.Session.Load(img)
	for i := range img.Entries {
		if e := &img.Entries[i]; e.State.Phase == store.Queued {
			f.queue.push(Entry{Entry: e.Entry})
		}
	}
}

type restarting struct{ *Session } // takes an image's figures for its own

func (f restarting) Load(img *store.Image) {
	f.Session.Load(img)
	f.own().messages, f.rest.bytes = img.Queue.Messages, img.Queue.Bytes
}

type content struct{ *Session } // asks for no page when it has nothing

func (f content) WantsPage() (Page, bool) {
	if f.queue.n == 0 && f.rest.loose.n == 0 {
		return Page{}, false
	}
	return f.Session.WantsPage()
}

type losing struct{ *Session } // takes the second entry of a page for the first

func (f losing) Paged(o *Output, p Page, entries []store.Entry) {
	if len(entries) > 1 && p.After == f.after && p.of == f.Session && f.enc != nil {
		f.rest.messages--
		f.rest.bytes -= int64(entries[0].Msg.Size())
		entries = entries[1:]
	}
	f.Session.Paged(o, p, entries)
}

func TestModelFindsFaultsOfPages(t *testing.T) {
	findFaults(t, map[string]func(*Session) machine{
		"stale page":               func(s *Session) machine { return believing{s} },
		"page of another session":  func(s *Session) machine { return adopting{s} },
		"skips what it unloaded":   func(s *Session) machine { return skipping{s} },
		"reads it twice":           func(s *Session) machine { return repeating{s} },
		"queue stays in memory":    func(s *Session) machine { return hoarding{s} },
		"overtakes the store":      func(s *Session) machine { return overtaking{s} },
		"newest before their turn": func(s *Session) machine { return impatientJoin{s} },
		"oldest is kept":           func(s *Session) machine { return forgiving{s} },
		"no bound on the excess":   func(s *Session) machine { return boundless{s} },
		"drops are not counted":    func(s *Session) machine { return miscounting{s} },
		"silent drop from a page":  func(s *Session) machine { return unsaid{s} },
		"dropped come back":        func(s *Session) machine { return reviving{s} },
		"queue twice after a load": func(s *Session) machine { return doubling{s} },
		"figures of the image":     func(s *Session) machine { return restarting{s} },
		"asks for no page":         func(s *Session) machine { return content{s} },
		"loses one of a page":      func(s *Session) machine { return losing{s} },
	})
}
