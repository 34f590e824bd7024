package load

import "time"

// keepAlive pings on all connections when the broker imposes a keep alive, until
// stop is closed. The load itself asks for none.
func (r *run) keepAlive(stop <-chan struct{}) {
	const lookEvery = time.Second
	beat := time.NewTicker(lookEvery)
	defer beat.Stop()
	last := time.Now()
	for {
		select {
		case <-stop:
			return
		case now := <-beat.C:
			if d := r.imposedKeepAlive(); d > 0 && now.Sub(last) >= d/2 {
				last = now
				r.pingAll()
			}
		}
	}
}

// imposedKeepAlive is that of any connection: a broker treats all of a run alike. 0
// when there is none.
func (r *run) imposedKeepAlive() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.clients {
		return c.grant.keepAlive
	}
	return 0
}

func (r *run) pingAll() {
	for _, c := range r.connectedClients() {
		_, _ = c.conn.Write([]byte{headPingreq, 0}) // whoever reads the connection sees that it has ended
	}
}
