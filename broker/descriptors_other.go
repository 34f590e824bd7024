//go:build !unix

package broker

import "log/slog"

// connectionLimit is 0, no limit: this system has none for descriptors that counts.
func connectionLimit(*slog.Logger) int { return 0 }
