package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine describes where the figures come from: processor, cores, kernel, Go, and
// what else the machine was doing.
func machine() string {
	s := fmt.Sprintf("%s, %d cores, %s, %s", processor(readFile("/proc/cpuinfo")), runtime.NumCPU(),
		kernel(readFile("/proc/sys/kernel/osrelease")), runtime.Version())
	if avg, _, ok := strings.Cut(readFile("/proc/loadavg"), " "); ok {
		s += ", load average before " + avg
	}
	return s
}

// readFile is empty where there is no such file: not every system has /proc.
func readFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

func processor(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel(release string) string {
	return strings.TrimSpace(runtime.GOOS + " " + release)
}
