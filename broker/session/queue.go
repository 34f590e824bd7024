package session

const minQueue = 8

// deque is a first-in first-out queue of entries in a growing ring.
type deque struct {
	buf   []Entry
	head  int
	n     int
	bytes int64
}

func (q *deque) push(e Entry) {
	if q.n == len(q.buf) {
		q.resize(max(minQueue, 2*q.n))
	}
	q.buf[(q.head+q.n)&(len(q.buf)-1)] = e
	q.n++
	q.bytes += int64(e.Msg.Size())
}

// peek returns the entry at the head. It is valid until the next push or pop.
func (q *deque) peek() *Entry { return &q.buf[q.head] }

// pop removes the entry at the head.
func (q *deque) pop() {
	e := &q.buf[q.head]
	q.bytes -= int64(e.Msg.Size())
	*e = Entry{}
	q.head = (q.head + 1) & (len(q.buf) - 1)
	q.n--
	if q.n == 0 {
		q.head = 0
		if len(q.buf) > 64 {
			q.buf = nil // a session that caught up holds no large ring
		}
	}
}

// reserve makes room for n more in one step.
func (q *deque) reserve(n int) {
	size := max(minQueue, len(q.buf))
	for size < q.n+n {
		size *= 2
	}
	if size > len(q.buf) && n > 0 {
		q.resize(size)
	}
}

// trim makes the ring as small as what it holds allows.
func (q *deque) trim() {
	if q.n == 0 {
		q.buf, q.head = nil, 0
		return
	}
	n := minQueue
	for n < q.n {
		n *= 2
	}
	if n < len(q.buf) {
		q.resize(n)
	}
}

// at returns the i-th entry from the head.
func (q *deque) at(i int) *Entry { return &q.buf[(q.head+i)&(len(q.buf)-1)] }

func (q *deque) resize(n int) {
	buf := make([]Entry, n)
	for i := range q.n {
		buf[i] = *q.at(i)
	}
	q.buf, q.head = buf, 0
}
