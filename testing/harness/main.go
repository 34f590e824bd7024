package harness

import (
	"flag"
	"runtime"
	"strconv"

	"go.uber.org/goleak"
)

// parallel is how many tests run at a time. Most of a test is waiting for a
// broker or for a time that the protocol counts in seconds.
const parallel = 32

// Main runs the tests of a package, stops the node they share and then looks for
// goroutines that were left behind:
//
//	func TestMain(m *testing.M) { harness.Main(m) }
func Main(m goleak.TestingM) {
	flag.Parse()
	n, fuzz := flag.Lookup("test.parallel"), flag.Lookup("test.fuzz")
	if n.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) && fuzz.Value.String() == "" { // it is the number of fuzz workers too
		_ = n.Value.Set(strconv.Itoa(parallel)) // a number is accepted
	}
	goleak.VerifyTestMain(stopAfter{m})
}

type stopAfter struct{ m goleak.TestingM }

// Run implements goleak.TestingM.
func (s stopAfter) Run() int {
	code := s.m.Run()
	if err := stopShared(); err != nil && code == 0 {
		code = 1
	}
	return code
}
