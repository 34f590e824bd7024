package api

import (
	"io"
	"io/fs"
	"net/http"
)

// health answers whether the process is alive: it is, as it answers.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	return text(w, http.StatusOK, "ok")
}

// ready answers whether clients may be sent here, and why not.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	if ok, why := s.Health.Ready(); !ok {
		return text(w, http.StatusServiceUnavailable, "not ready: "+why)
	}
	return text(w, http.StatusOK, "ready")
}

func text(w http.ResponseWriter, status int, words string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, words+"\n") // the client is gone: nobody to tell
	return nil
}

// page answers the dashboard.
func (s *Server) page(w http.ResponseWriter, r *http.Request) error {
	return s.file(w, r, "index.html")
}

// pageFile answers what the dashboard loads.
func (s *Server) pageFile(w http.ResponseWriter, r *http.Request) error {
	return s.file(w, r, r.PathValue("path"))
}

func (s *Server) file(w http.ResponseWriter, r *http.Request, name string) error {
	if s.Pages == nil || !fs.ValidPath(name) {
		return notFound(w, r)
	}
	info, err := fs.Stat(s.Pages, name)
	if err != nil || info.IsDir() {
		return notFound(w, r)
	}
	http.ServeFileFS(w, r, s.Pages, name)
	return nil
}

// webSocket hands the connection over: from here on it speaks MQTT.
func (s *Server) webSocket(w http.ResponseWriter, r *http.Request) error {
	if s.WebSocket == nil || !s.isOpen() {
		return failf(http.StatusServiceUnavailable, "MQTT over WebSocket is not served here now")
	}
	s.WebSocket.ServeHTTP(w, r)
	if rec, ok := w.(*recorder); ok && rec.status == 0 {
		rec.status = http.StatusSwitchingProtocols
	}
	return nil
}
