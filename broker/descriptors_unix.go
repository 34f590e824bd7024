//go:build unix

package broker

import (
	"log/slog"
	"math"
	"syscall"
)

// reserve is how many descriptors are kept for everything that is no connection.
const reserve = 128

// connectionLimit is the descriptor limit less a reserve.
func connectionLimit(log *slog.Logger) int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		log.Warn("descriptor limit is not known", "error", err)
		return 0
	}
	files := l.Cur
	if files >= math.MaxInt32 {
		return 0
	}
	limit := int(files) - min(reserve, int(files)/4)
	log.Info("connection limit", "connections", limit, "descriptors", files)
	return limit
}
