package load

import (
	"fmt"
	"io"
)

// frameReader splits what arrives into frames. All frames that one read brought are
// handed out before the next read.
type frameReader struct {
	src   io.Reader
	buf   []byte
	start int // of what is not handed out
	end   int
}

// maxFrame is the largest frame MQTT has.
const maxFrame = 256<<20 + 5

// next is the next frame of what has been read. A false ok means that the rest is
// not all there, see [frameReader.fill]. The body is valid until fill.
func (r *frameReader) next() (head byte, body []byte, ok bool, err error) {
	b := r.buf[r.start:r.end]
	if len(b) < 2 {
		return 0, nil, false, nil
	}
	n, size := readLength(b[1:])
	if size < 0 {
		return 0, nil, false, errMalformed
	}
	all := 1 + size + n
	if size == 0 || len(b) < all {
		return 0, nil, false, nil
	}
	r.start += all
	return b[0], b[1+size : all], true, nil
}

// fill reads once, after it has made room for the frame that is under way.
func (r *frameReader) fill() error {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.end == len(r.buf) {
		if len(r.buf) >= 2*maxFrame {
			return fmt.Errorf("%w: a frame of more than %d bytes", errMalformed, maxFrame)
		}
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := r.src.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// read waits for a whole frame.
func (r *frameReader) read() (byte, []byte, error) {
	for {
		head, body, ok, err := r.next()
		if ok || err != nil {
			return head, body, err
		}
		if err := r.fill(); err != nil {
			return 0, nil, err
		}
	}
}
