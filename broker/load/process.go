package load

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// usage is what processes have used, together.
type usage struct {
	cpu  time.Duration
	rss  int64 // resident bytes
	peak int64 // highest resident bytes each has had
	// written is what was handed to the file system of disks, in bytes; 0 where that is
	// not told.
	written int64
}

// clockTick is the unit of /proc/PID/stat: USER_HZ is 100 on every architecture.
const clockTick = time.Second / 100

// canMeasureProcesses is false where there is no /proc as Linux has it.
const canMeasureProcesses = runtime.GOOS == "linux"

// usageOf reads /proc. Elsewhere than on Linux nothing is known, which is no error.
func usageOf(pids []int) (usage, error) {
	var u usage
	if !canMeasureProcesses {
		return u, nil
	}
	for _, pid := range pids {
		if err := u.add(pid); err != nil {
			return u, fmt.Errorf("process %d: %w", pid, err)
		}
	}
	return u, nil
}

func (u *usage) add(pid int) error {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return err
	}
	cpu, err := parseStat(stat)
	if err != nil {
		return err
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return err
	}
	rss, peak := parseStatus(string(status))
	u.cpu += cpu
	u.rss += rss
	u.peak += peak
	io, _ := os.ReadFile(dir + "/io") // only its owner may read it
	u.written += parseWritten(string(io))
	return nil
}

// parseWritten is what a process caused to be written to disks, in bytes.
func parseWritten(io string) int64 {
	for line := range strings.Lines(io) {
		if n, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			v, _ := strconv.ParseInt(strings.TrimSpace(n), 10, 64) // 0 is not told
			return v
		}
	}
	return 0
}

// parseStat is user and system time. Fields are counted from the last parenthesis:
// a command name may hold spaces and parentheses.
func parseStat(stat []byte) (time.Duration, error) {
	const userField, systemField = 11, 12
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) <= systemField {
		return 0, fmt.Errorf("stat has %d fields", len(f))
	}
	user, err := strconv.ParseInt(f[userField], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(f[systemField], 10, 64)
	return time.Duration(user+system) * clockTick, err
}

// parseStatus is the memory resident now and at its highest, in bytes.
func parseStatus(status string) (rss, peak int64) {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64) // 0 for lines that are no size
		switch name {
		case "VmRSS":
			rss = kb << 10
		case "VmHWM":
			peak = kb << 10
		}
	}
	return rss, peak
}
