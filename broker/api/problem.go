package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// problem is an error as it is answered.
type problem struct {
	v1.Problem
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail) }

// failf makes a problem of a status.
func failf(status int, format string, args ...any) *problem {
	return &problem{v1.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}}
}

var errNoPeer = errors.New("there is no such node")

// refused makes a problem of an MQTT reason code.
func refused(code byte, why string) *problem {
	p := failf(statusOf(code), "%s", why)
	p.Code = int(code)
	return p
}

// statusOf is the HTTP status nearest to an MQTT 5 reason code of a refusal.
func statusOf(code byte) int {
	switch code {
	case 0x85, 0x86, 0x87, 0x8A, 0x8C:
		return http.StatusForbidden
	case 0x88, 0x89, 0x8B, 0x9C, 0x9D:
		return http.StatusServiceUnavailable
	case 0x8E:
		return http.StatusConflict
	case 0x95:
		return http.StatusRequestEntityTooLarge
	case 0x97, 0x93, 0x96, 0x9F:
		return http.StatusTooManyRequests
	case 0x80, 0x83:
		return http.StatusUnprocessableEntity
	}
	return http.StatusBadRequest
}

// answerProblem answers an error: a *problem as it is, anything else as a 500 that tells
// nothing of it.
func (s *Server) answerProblem(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	if !errors.As(err, &p) {
		s.log.Error("api request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		p = failf(http.StatusInternalServerError, "the node's log has more")
	}
	write(w, p.Status, "application/problem+json", p.Problem)
}

// answer answers JSON.
func answer(w http.ResponseWriter, status int, v any) { write(w, status, "application/json", v) }

func write(w http.ResponseWriter, status int, kind string, v any) {
	b, err := json.Marshal(v)
	if err != nil { // not reached: what is answered are types of v1
		status, b = http.StatusInternalServerError, []byte(`{}`)
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client is gone: nobody to tell
}
