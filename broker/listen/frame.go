package listen

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Opcodes and close codes of RFC 6455.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	closeNormal      = 1000
	closeProtocol    = 1002
	closeUnsupported = 1003
	closeInvalid     = 1007
	closeTooBig      = 1009

	bitFin     = 0x80
	bitsRsv    = 0x70
	bitMask    = 0x80
	maxControl = 125 // payload bytes
)

// silentReads is after how many reads that had nothing but control frames and
// heads a step ends, so that a flood of them does not keep Pump from its deadline.
const silentReads = 16

// FrameError says how a WebSocket client broke the protocol, and with which code
// it was told.
type FrameError struct {
	Code   uint16 // of the close frame
	Reason string
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("listen: WebSocket closed with %d: %s", e.Code, e.Reason)
}

// frames is the WebSocket layer of a connection. Payload is decoded in the buffer
// of whoever reads; kept between reads are a frame's head and a control frame's
// payload, as far as they have come.
type frames struct {
	limit uint64 // of a frame's payload; 0 is none
	ahead []byte // came behind the HTTP request

	head    [14]byte // of the frame that begins
	have    uint8    // bytes of head
	op      byte
	fin     bool
	inside  bool // the frame's payload is being read
	message bool // a message's last frame is yet to come
	mask    [4]byte
	at      int    // of the payload, for the mask
	left    uint64 // payload bytes to come
	control []byte // payload of the control frame
	failed  error  // what all reads answer from now on

	frameOut
}

// readFrames fills p with payload. Frames are decoded where they lie: payload only
// ever moves forward over heads.
func (c *Conn) readFrames(p []byte) (int, error) {
	f := c.ws
	for range silentReads {
		if f.failed != nil {
			return 0, f.failed
		}
		n, err := c.readBelow(p)
		if err != nil {
			return 0, err
		}
		if n = f.decode(c, p[:n]); n > 0 {
			return n, nil
		}
	}
	return 0, errYield
}

func (c *Conn) readBelow(p []byte) (int, error) {
	f := c.ws
	if len(f.ahead) > 0 {
		n := copy(p, f.ahead)
		if f.ahead = f.ahead[n:]; len(f.ahead) == 0 {
			f.ahead = nil
		}
		return n, nil
	}
	if c.tls != nil {
		return c.tls.Read(p)
	}
	return c.readSocket(p)
}

// decode leaves the payload at the start of b and returns its length. Control
// frames are answered; what is behind an error or a close frame is dropped.
func (f *frames) decode(c *Conn, b []byte) int {
	n := 0
	for in := b; len(in) > 0 && f.failed == nil; {
		if !f.inside {
			in = in[f.readHead(in):]
		}
		if !f.inside {
			continue
		}
		k := int(min(f.left, uint64(len(in))))
		part := in[:k]
		in = in[k:]
		ws.Cipher(part, f.mask, f.at)
		f.at = (f.at + k) & 3
		f.left -= uint64(k)
		if f.op >= opClose {
			f.control = append(f.control, part...)
		} else {
			n += copy(b[n:], part)
		}
		if f.left == 0 {
			f.endFrame(c)
		}
	}
	if e, ok := f.failed.(*FrameError); ok {
		c.closeWith(e.Code)
	}
	return n
}

// readHead takes what belongs to the head, which may come in pieces, and returns
// how much. The head is checked as soon as two bytes are there.
func (f *frames) readHead(in []byte) int {
	used := 0
	for {
		need := 2
		if f.have >= 2 {
			if err := f.check(); err != nil {
				f.failed = err
				return used
			}
			need = headSize(f.head[1])
		}
		if missing := need - int(f.have); missing > 0 {
			k := copy(f.head[f.have:need], in[used:])
			f.have += uint8(k)
			used += k
			if k < missing {
				return used
			}
			continue
		}
		f.failed = f.begin(need)
		return used
	}
}

func headSize(second byte) int {
	n := 2
	switch second &^ bitMask {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&bitMask != 0 {
		n += 4
	}
	return n
}

// check judges the first two bytes of a head. Data must be binary [MQTT-6.0.0-1].
func (f *frames) check() error {
	first, second := f.head[0], f.head[1]
	op, fin, size := first&0x0F, first&bitFin != 0, second&^bitMask
	switch {
	case first&bitsRsv != 0:
		return &FrameError{closeProtocol, "reserved bits without an extension"}
	case second&bitMask == 0:
		return &FrameError{closeProtocol, "client frame is not masked"}
	case op == opText:
		return &FrameError{closeUnsupported, "text frame"}
	case op >= opClose && (!fin || size > maxControl):
		return &FrameError{closeProtocol, "control frame is fragmented or too long"}
	case op == opContinuation && !f.message:
		return &FrameError{closeProtocol, "continuation of nothing"}
	case op == opBinary && f.message:
		return &FrameError{closeProtocol, "message within a message"}
	case op > opPong || op > opBinary && op < opClose:
		return &FrameError{closeProtocol, "reserved opcode"}
	}
	return nil
}

// begin starts the frame whose head is complete.
func (f *frames) begin(size int) error {
	f.op, f.fin = f.head[0]&0x0F, f.head[0]&bitFin != 0
	length := uint64(f.head[1] &^ bitMask)
	least := uint64(0)
	switch length {
	case 126:
		length, least = uint64(binary.BigEndian.Uint16(f.head[2:])), 126
	case 127:
		length, least = binary.BigEndian.Uint64(f.head[2:]), 1<<16
	}
	switch {
	case length < least || length > 1<<63-1:
		return &FrameError{closeProtocol, "length is not well formed"}
	case f.limit > 0 && length > f.limit && f.op < opClose:
		return &FrameError{closeTooBig, "frame is too large"}
	}
	f.left, f.at, f.have, f.inside = length, 0, 0, true
	copy(f.mask[:], f.head[size-4:size])
	if f.op < opClose {
		f.message = !f.fin
	}
	return nil
}

func (f *frames) endFrame(c *Conn) {
	f.inside = false
	switch f.op {
	case opPing:
		c.pong(f.control)
	case opClose:
		code, err := closeCode(f.control)
		f.failed = err
		if err == nil {
			f.failed = io.EOF
			c.closeWith(code)
		}
	}
	f.control = nil
}

// closeCode judges the payload of a close frame and returns the code to answer.
func closeCode(p []byte) (uint16, error) {
	switch len(p) {
	case 0:
		return closeNormal, nil
	case 1:
		return 0, &FrameError{closeProtocol, "close frame of one byte"}
	}
	code := binary.BigEndian.Uint16(p)
	reserved := []uint16{1004, 1005, 1006}
	switch {
	case code < 1000 || code > 1014 && code < 3000 || code > 4999 || slices.Contains(reserved, code):
		return 0, &FrameError{closeProtocol, "close frame has no valid code"}
	case !utf8.Valid(p[2:]):
		return 0, &FrameError{closeInvalid, "close frame's reason is not UTF-8"}
	}
	return code, nil
}
