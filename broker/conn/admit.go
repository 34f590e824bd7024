package conn

import (
	"net/netip"
	"sync"
	"time"
)

// AdmitSettings limit who may come in. 0 is no limit.
type AdmitSettings struct {
	Connections    int
	PerAddress     int // connections
	Rate           int // connects a second
	Burst          int // 0 is one second of Rate
	RatePerAddress int // connects a second
	RatePerUser    int // connects a second
	FlapConnects   int // connects of one client id within FlapWindow that ban it
	FlapWindow     time.Duration
	FlapBan        time.Duration
	OverLimit      func() bool // memory above its high watermark; nil is never
}

// sweepFrom is how many addresses or client ids a table has before it is swept.
const sweepFrom = 1024

// door counts connects by address and client id. Tables are swept when they have
// doubled, so a sweep costs each connect a constant.
type door struct {
	mu        sync.Mutex
	all       bucket
	addresses map[netip.Addr]*address
	clients   map[string]*flapper
	users     map[string]*bucket // of connects
	sweepAddr int
	sweepID   int
	sweepUser int
}

type address struct {
	open int
	rate bucket
}

// flapper is a client id that connects often.
type flapper struct {
	since   time.Time
	until   time.Time // of the ban
	connect int
}

func (d *door) init() {
	d.addresses, d.clients, d.users = map[netip.Addr]*address{}, map[string]*flapper{}, map[string]*bucket{}
	d.sweepAddr, d.sweepID, d.sweepUser = sweepFrom, sweepFrom, sweepFrom
}

// open answers the reason code and the rule that refuse a connection of an address. If
// it says that it counted the connection, close must follow.
func (d *door) open(a netip.Addr, set *AdmitSettings, now time.Time) (code byte, rule string, counted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	counted = a.IsValid() && (set.PerAddress > 0 || set.RatePerAddress > 0)
	code, rule = d.judgeLocked(a, counted, set, now)
	return code, rule, counted
}

func (d *door) judgeLocked(a netip.Addr, counted bool, set *AdmitSettings, now time.Time) (code byte, rule string) {
	if counted {
		e := d.addresses[a]
		if e == nil {
			d.sweepAddresses(set, now)
			e = &address{}
			d.addresses[a] = e
		}
		e.open++
		switch rate := float64(set.RatePerAddress); {
		case set.PerAddress > 0 && e.open > set.PerAddress:
			return codeQuotaExceeded, "limits.per_address"
		case rate > 0 && !e.rate.take(now, rate, rate):
			return codeConnectionRate, "limits.connect_rate_per_address"
		}
	}
	burst := float64(set.Burst)
	if burst == 0 {
		burst = float64(set.Rate)
	}
	if set.Rate > 0 && !d.all.take(now, float64(set.Rate), burst) {
		return codeConnectionRate, "limits.connect_rate"
	}
	return codeSuccess, ""
}

func (d *door) close(a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.addresses[a]; e != nil {
		if e.open--; e.open <= 0 && e.rate.last.IsZero() {
			delete(d.addresses, a)
		}
	}
}

func (d *door) sweepAddresses(set *AdmitSettings, now time.Time) {
	if len(d.addresses) < d.sweepAddr {
		return
	}
	for a, e := range d.addresses {
		if e.open <= 0 && (set.RatePerAddress <= 0 || now.Sub(e.rate.last) > time.Second) {
			delete(d.addresses, a)
		}
	}
	d.sweepAddr = max(sweepFrom, 2*len(d.addresses))
}

// tooOften counts a connect of a user, once it is known to be this one, and reports
// whether it was one too many.
func (d *door) tooOften(user string, set *AdmitSettings, now time.Time) bool {
	rate := float64(set.RatePerUser)
	if rate <= 0 || user == "" {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.users[user]
	if b == nil {
		if len(d.users) >= d.sweepUser {
			for u, b := range d.users {
				if now.Sub(b.last) > time.Second { // it is full again
					delete(d.users, u)
				}
			}
			d.sweepUser = max(sweepFrom, 2*len(d.users))
		}
		b = &bucket{}
		d.users[user] = b
	}
	return !b.take(now, rate, rate)
}

// banned reports whether a client id is banned for connecting too often.
func (d *door) banned(id string, set *AdmitSettings, now time.Time) bool {
	if set.FlapConnects <= 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.clients[id]
	return f != nil && now.Before(f.until)
}

// connects counts a connect of a client id, once it is known whose it is: nobody else
// can have it banned. It reports whether it is banned now.
func (d *door) connects(id string, set *AdmitSettings, now time.Time) (banned bool) {
	if set.FlapConnects <= 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.clients[id]
	if f == nil {
		d.sweepClients(set, now)
		f = &flapper{since: now}
		d.clients[id] = f
	}
	if now.Before(f.until) {
		return true
	}
	if now.Sub(f.since) > set.FlapWindow {
		f.since, f.connect = now, 0
	}
	if f.connect++; f.connect <= set.FlapConnects {
		return false
	}
	f.until, f.connect = now.Add(set.FlapBan), 0
	return true
}

func (d *door) sweepClients(set *AdmitSettings, now time.Time) {
	if len(d.clients) < d.sweepID {
		return
	}
	for id, f := range d.clients {
		if now.After(f.until) && now.Sub(f.since) > set.FlapWindow {
			delete(d.clients, id)
		}
	}
	d.sweepID = max(sweepFrom, 2*len(d.clients))
}
