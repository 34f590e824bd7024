package listen

// URL is the address that clients connect to, with the port the system chose.
func (l *Listener) URL() string {
	return string(l.target.kind) + "://" + l.Addr().String() + l.target.path
}

// Prepare reads the certificates again and checks them; swap makes connections to
// come use them. So several listeners change together or not at all.
func (l *Listener) Prepare() (swap func(), err error) {
	if !l.target.kind.tls() {
		return func() {}, nil
	}
	c, err := l.opts.TLS.config()
	if err != nil {
		return nil, err
	}
	return func() { l.tls.Store(c) }, nil
}
