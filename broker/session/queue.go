package session

// deque is a first-in first-out queue of entries in a growing ring.
type deque struct {
	buf   []Entry
	head  int
	n     int
	bytes int64
}

func (q *deque) push(e Entry) {
	if q.n == len(q.buf) {
		q.resize(max(8, 2*q.n))
	}
	q.buf[(q.head+q.n)&(len(q.buf)-1)] = e
	q.n++
	q.bytes += int64(e.Msg.Size())
}

func (q *deque) peek() *Entry { return &q.buf[q.head] }

func (q *deque) pop() Entry {
	e := q.buf[q.head]
	q.buf[q.head] = Entry{}
	q.head = (q.head + 1) & (len(q.buf) - 1)
	q.n--
	q.bytes -= int64(e.Msg.Size())
	if q.n == 0 {
		q.head = 0
		if len(q.buf) > 64 {
			q.buf = nil // an idle session holds no large ring
		}
	}
	return e
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
