package schedule

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// readRequest reads a command as clients send it: an array of strings.
func readRequest(r *bufio.Reader) ([]string, error) {
	n, err := readCount(r, '*')
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		size, err := readCount(r, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, fmt.Errorf("read a word: %w", err)
		}
		words[i] = string(b[:size])
	}
	return words, nil
}

func readCount(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("read a command: %w", err)
	}
	if line[0] != kind {
		return 0, fmt.Errorf("read a command: %q does not begin with %c", line, kind)
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil {
		return 0, fmt.Errorf("read a command: %w", err)
	}
	return n, nil
}

// request is a command as it is sent.
func request(words ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b
}

// readAnswer appends an answer as it came.
func readAnswer(r *bufio.Reader, dst []byte) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return dst, fmt.Errorf("read an answer: %w", err)
	}
	dst = append(dst, line...)
	if line[0] != '$' && line[0] != '*' {
		return dst, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	if err != nil {
		return dst, fmt.Errorf("read an answer: %w", err)
	}
	if line[0] == '*' {
		for range n {
			if dst, err = readAnswer(r, dst); err != nil {
				return dst, err
			}
		}
		return dst, nil
	}
	if n >= 0 {
		at := len(dst)
		dst = append(dst, make([]byte, n+2)...)
		if _, err := io.ReadFull(r, dst[at:]); err != nil {
			return dst, fmt.Errorf("read an answer: %w", err)
		}
	}
	return dst, nil
}
