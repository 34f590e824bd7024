package load

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small are options of a run that ends soon.
func small(scenario Scenario, address string) Options {
	o := Defaults()
	o.Addresses = []string{address}
	o.Scenario = scenario
	o.Clients, o.Members, o.Subs = 3, 2, 40
	o.Window = 20
	o.Warmup, o.Duration, o.Settle = 5*time.Millisecond, 30*time.Millisecond, 5*time.Millisecond
	o.Stall = 300 * time.Millisecond
	return o
}

// untilDelivered has a run that streams end after some deliveries, however long they
// take, while the broker does what f says. It never gets warm, so it counts from its begin.
func untilDelivered(t *testing.T, o *Options, n int, f faults, upgrade func(net.Conn) (net.Conn, error)) (*testBroker, Result) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wrong := f.deliver
	f.deliver = func(i int) fault {
		if i == n {
			cancel()
		}
		if wrong == nil {
			return right
		}
		return wrong(i)
	}
	b := startBroker(t, f, upgrade)
	for i, a := range o.Addresses {
		o.Addresses[i] = strings.ReplaceAll(a, "BROKER", b.address())
	}
	o.Warmup = time.Hour
	res, err := Run(ctx, *o)
	if err != nil {
		t.Fatal(err)
	}
	return b, res
}

func mustRun(t *testing.T, o Options) Result {
	t.Helper()
	res, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// qosOf are those a scenario takes.
func qosOf(s Scenario) []int {
	switch s {
	case Idle, Reconnect, Subscribe:
		return []int{0}
	case Offline, Sessions:
		return []int{1, 2}
	}
	return []int{0, 1, 2}
}

// isQuiet is whether a scenario carries no messages.
func isQuiet(s Scenario) bool { return s == Idle || s == Reconnect || s == Subscribe }

func TestEveryScenarioDeliversEverything(t *testing.T) {
	for _, s := range Scenarios() {
		for _, v := range []Version{MQTT311, MQTT5} {
			for _, q := range qosOf(s) {
				t.Run(string(s)+" "+v.String()+" "+string(rune('0'+q)), func(t *testing.T) {
					o := small(s, "BROKER")
					o.Version, o.QoS = v, q
					var b *testBroker
					var res Result
					if isQuiet(s) {
						b = startBroker(t, faults{}, nil)
						o.Addresses[0] = b.address()
						res = mustRun(t, o)
					} else {
						b, res = untilDelivered(t, &o, 200, faults{}, nil)
					}
					if err := res.Err(); err != nil {
						t.Fatal(err)
					}
					if !isQuiet(s) && (res.Delivered == 0 || res.Delivered != res.Expected || res.Rate == 0) {
						t.Errorf("delivered %d of %d, %f a second", res.Delivered, res.Expected, res.Rate)
					}
					if s == Idle && (res.Idle == nil || res.Idle.Connections != 3) {
						t.Errorf("idle %+v", res.Idle)
					}
					b.empty(t)
				})
			}
		}
	}
}

// empty checks that a run has left nothing behind.
func (b *testBroker) empty(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.retained); n > 0 {
		t.Errorf("%d retained messages are left", n)
	}
	for id, s := range b.sessions {
		if s.kept {
			t.Errorf("session %s is left", id)
		}
	}
}

func TestCountsWhatScenariosPromise(t *testing.T) {
	b := startBroker(t, faults{}, nil)
	o := small(Offline, b.address())
	o.QoS = 1
	if res := mustRun(t, o); res.Expected != 3*40 || res.Sent != 3*40 || res.Offline.Present != 3 {
		t.Errorf("offline: %+v", res)
	}
	o.Leave, o.Prefix = true, "left-"
	if res := mustRun(t, o); res.Sent != 3*40 || res.Expected != 0 || res.Lost != 0 || res.Err() != nil {
		t.Errorf("left: %+v", res)
	}
	o.Leave, o.Return = false, true
	if res := mustRun(t, o); res.Delivered != 3*40 || res.Sent != 0 || res.Offline.Present != 3 {
		t.Errorf("back: %+v", res)
	}
	o.Return, o.Prefix = false, ""
	o.Scenario = Sessions
	if res := mustRun(t, o); res.Expected != 3*40 || res.Sent != 40 {
		t.Errorf("sessions: %+v", res)
	}
	o.Scenario = Retained
	if res := mustRun(t, o); res.Expected != 40 || res.Sent != 40 {
		t.Errorf("retained: %+v", res)
	}
	o = small(Fanout, "BROKER")
	if _, res := untilDelivered(t, &o, 100, faults{}, nil); res.Sent == 0 || res.Expected != 3*res.Sent {
		t.Errorf("fanout: %+v", res)
	}
}

// at does something wrong with one delivery.
func at(n int, f fault) func(int) fault {
	return func(i int) fault {
		if i == n {
			return f
		}
		return right
	}
}

func TestFaultsAreFound(t *testing.T) {
	tests := []struct {
		name                       string
		fault                      fault
		lost, duplicates, disorder int64
	}{
		{"drop", drop, 1, 0, 0},
		{"twice", twice, 0, 1, 0},
		{"swap", later, 0, 0, 1},
	}
	for _, s := range []Scenario{Pairs, Fanout, Fanin, Shared, Wild, Retained, Offline, Sessions} {
		for _, tt := range tests {
			if tt.fault == later && (s == Retained || s == Shared) {
				continue // no order over topics; that of a member is in TestGroup
			}
			t.Run(string(s)+" "+tt.name, func(t *testing.T) {
				o := small(s, "BROKER")
				o.QoS, o.Clients = 2, 1
				_, res := untilDelivered(t, &o, 60, faults{deliver: at(25, tt.fault)}, nil)
				if res.Lost != tt.lost || res.Duplicates != tt.duplicates || res.Disorder != tt.disorder {
					t.Errorf("lost %d, duplicates %d, disorder %d; want %d, %d, %d",
						res.Lost, res.Duplicates, res.Disorder, tt.lost, tt.duplicates, tt.disorder)
				}
				if res.Err() == nil {
					t.Error("no error")
				}
			})
		}
	}
}

// A message that comes twice must not hide one that is lost.
func TestLossIsNotHiddenByADuplicate(t *testing.T) {
	o := small(Pairs, "BROKER")
	o.Clients = 1
	f := faults{deliver: func(n int) fault { return map[int]fault{10: drop, 12: twice}[n] }}
	if _, res := untilDelivered(t, &o, 60, f, nil); res.Lost != 1 || res.Duplicates != 1 {
		t.Errorf("lost %d, duplicates %d", res.Lost, res.Duplicates)
	}
}

func TestDuplicatesAreAllowedAtQoS1(t *testing.T) {
	for qos, wrong := range []bool{true, false, true} {
		res := Result{QoS: qos, SubQoS: qos, Duplicates: 3}
		if got := res.Err() != nil; got != wrong {
			t.Errorf("QoS %d: %v", qos, res.Err())
		}
	}
}

func TestABrokerThatDeliversNothingEndsTheRun(t *testing.T) {
	b := startBroker(t, faults{deliver: func(int) fault { return drop }}, nil)
	o := small(Pairs, b.address())
	o.Duration = time.Hour
	o.Stall = 50 * time.Millisecond
	res := mustRun(t, o)
	if !res.Stalled || res.Lost == 0 {
		t.Errorf("%+v", res)
	}
}

func TestABrokerThatReadsNothingEndsTheRun(t *testing.T) {
	b := startBroker(t, faults{deaf: true}, nil)
	o := small(Retained, b.address())
	o.Subs, o.Size, o.Stall = 1000, 100_000, 50*time.Millisecond
	res := mustRun(t, o)
	if !res.Stalled || res.Err() == nil {
		t.Errorf("%+v", res)
	}
}

func TestConnectionsThatEndAreTold(t *testing.T) {
	o := small(Pairs, "BROKER")
	_, res := untilDelivered(t, &o, 100, faults{hangUpAfter: 30}, nil)
	if res.FailedConnections != 1 || res.FirstFailure == "" {
		t.Errorf("%+v", res)
	}
	if err := res.Err(); err == nil || !strings.Contains(err.Error(), "1 connections failed (first: ") {
		t.Errorf("%v", err)
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name    string
		faults  faults
		version Version
		want    string
	}{
		{"connack 3.1.1", faults{connack: []byte{0, 5}}, MQTT311, "not authorized (0x05)"},
		{"connack 5", faults{connack: []byte{0, 0x86, 0}}, MQTT5, "bad user name or password (0x86)"},
		{"connack of another kind", faults{connack: []byte{0, 0x9B, 0}}, MQTT5, "code 0x9B"},
		{"maximum QoS", faults{connack: []byte{0, 0, 2, propMaximumQoS, 1}}, MQTT5, "allows QoS 1 at most"},
		{"maximum packet", faults{connack: []byte{0, 0, 5, propMaximumPacket, 0, 0, 0, 99}}, MQTT5, "at most 99 bytes"},
		{"cut properties", faults{connack: []byte{0, 0, 3, propMaximumPacket, 0, 0}}, MQTT5, "malformed"},
		{"unknown property", faults{connack: []byte{0, 0, 1, 0x7F}}, MQTT5, "malformed"},
		{"suback", faults{suback: failure}, MQTT311, "refused with 0x82"},
		{"less QoS", faults{suback: 0xFF}, MQTT311, "QoS 1 is granted instead of 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := startBroker(t, tt.faults, nil)
			o := small(Pairs, b.address())
			o.Version, o.QoS = tt.version, 2
			if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRefusedPublishesAreCounted(t *testing.T) {
	for _, qos := range []int{1, 2} {
		b := startBroker(t, faults{puback: 0x87}, nil)
		o := small(Pairs, b.address())
		o.Version, o.QoS, o.Duration = MQTT5, qos, time.Hour
		if res := mustRun(t, o); res.Refused == 0 || res.Err() == nil {
			t.Errorf("QoS %d: %+v", qos, res)
		}
	}
}

func TestConnackPropertiesAreKept(t *testing.T) {
	ack := []byte{0, 0, 16,
		propReceiveMaximum, 0, 7, propServerKeepAlive, 0, 30, propRetainAvailable, 0,
		0x26, 0, 1, 'a', 0, 0, 0x2A, 1}
	ack[2] = byte(len(ack) - 3)
	g, err := readConnack(MQTT5, ack)
	if err != nil {
		t.Fatal(err)
	}
	if g.inflight != 7 || g.keepAlive != 30*time.Second || g.retain {
		t.Errorf("%+v", g)
	}
}

func TestNobodyListens(t *testing.T) {
	b := startBroker(t, faults{}, nil)
	address := b.address()
	_ = b.listener.Close() // nobody listens any more
	for _, s := range []Scenario{Pairs, Fanin, Retained, Offline} {
		o := small(s, address)
		o.QoS = 1
		res, err := Run(t.Context(), o)
		if err == nil || res.FailedConnections == 0 {
			t.Errorf("%s: %v, %+v", s, err, res)
		}
	}
	res := mustRun(t, small(Idle, address))
	if res.FailedConnections != 3 || res.Idle.Connections != 0 || res.Err() == nil {
		t.Errorf("idle: %+v", res)
	}
}

func TestSessionsThatAreGoneAreTold(t *testing.T) {
	b := startBroker(t, faults{forget: true}, nil)
	o := small(Offline, b.address())
	o.QoS = 1
	res := mustRun(t, o)
	if err := res.Err(); err == nil || !strings.Contains(err.Error(), "3 sessions gone") || res.Lost != 3*40 {
		t.Errorf("%v, %+v", err, res)
	}
}

func TestPersistentSubscribersLeaveNothing(t *testing.T) {
	for _, v := range []Version{MQTT311, MQTT5} {
		o := small(Pairs, "BROKER")
		o.Version, o.QoS, o.Persistent = v, 1, true
		b, res := untilDelivered(t, &o, 60, faults{}, nil)
		if err := res.Err(); err != nil {
			t.Error(err)
		}
		b.empty(t)
	}
}

func TestASessionOfSomebodyElseIsNotTaken(t *testing.T) {
	b := startBroker(t, faults{}, nil)
	b.sessions["mine-s0"] = &testSession{kept: true}
	o := small(Pairs, b.address())
	o.Persistent, o.Prefix = true, "mine-"
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another --prefix") {
		t.Errorf("%v", err)
	}
}

// cancelIn cancels when the run reports a phase.
func cancelIn(o *Options, phase string, cancel func()) {
	o.Progress = func(p Progress) {
		if p.Phase == phase {
			cancel()
		}
	}
}

func TestAnInterruptedRunSaysWhatItHas(t *testing.T) {
	for _, s := range []Scenario{Pairs, Idle} {
		b := startBroker(t, faults{}, nil)
		o := small(s, b.address())
		o.Duration = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cancelIn(&o, "measuring", cancel)
		res, err := Run(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		if !res.Interrupted || res.Err() != nil || s == Pairs && (res.Delivered == 0 || res.Latency == nil) {
			t.Errorf("%s: %+v", s, res)
		}
	}
}

func TestAnInterruptedRunCleansUp(t *testing.T) {
	for _, s := range []Scenario{Offline, Retained} {
		b := startBroker(t, faults{}, nil)
		o := small(s, b.address())
		o.QoS, o.Subs, o.Stall = 1, 1<<24, time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cancelIn(&o, "publishing", cancel)
		res, err := Run(ctx, o)
		if err != nil || !res.Interrupted || res.Err() != nil {
			t.Errorf("%s: %v, %+v", s, err, res)
		}
		b.empty(t)
	}
}

func TestCancelledBeforeItBegins(t *testing.T) {
	b := startBroker(t, faults{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	res, err := Run(ctx, small(Pairs, b.address()))
	if err != nil || !res.Interrupted {
		t.Errorf("%v, %+v", err, res)
	}
}

func TestAnImposedKeepAliveIsKept(t *testing.T) {
	b := startBroker(t, faults{connack: []byte{0, 0, 3, propServerKeepAlive, 0, 1}}, nil)
	o := small(Idle, b.address())
	o.Version, o.Duration = MQTT5, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(Progress) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.pings > 0 {
			cancel()
		}
	}
	if _, err := Run(ctx, o); err != nil {
		t.Fatal(err)
	}
}

func TestRateIsKept(t *testing.T) {
	b := startBroker(t, faults{}, nil)
	o := small(Pairs, b.address())
	o.Rate, o.Duration = 300, 200*time.Millisecond
	res := mustRun(t, o)
	// A late timer sends less; nothing may make it send more.
	if limit := 300*(res.Seconds+1) + 3; float64(res.Sent) > limit || res.Err() != nil {
		t.Errorf("sent %d, %v", res.Sent, res.Err())
	}
}

func TestCrossedPairsUseDifferentAddresses(t *testing.T) {
	b := startBroker(t, faults{}, nil)
	o := small(Pairs, b.address())
	o.Addresses = append(o.Addresses, "localhost:"+strings.Split(b.address(), ":")[1])
	o.Cross = true
	res := mustRun(t, o)
	if err := res.Err(); err != nil {
		t.Error(err)
	}
	r := &run{o: o}
	if r.publisherTurn(0) == 0 {
		t.Error("the publisher of a pair has its subscriber's address")
	}
}

func TestSmallPayloadsAreCounted(t *testing.T) {
	for _, size := range []int{0, 7, 8, 15, 16} {
		o := small(Pairs, "BROKER")
		o.Size, o.Clients = size, 1
		_, res := untilDelivered(t, &o, 60, faults{deliver: at(5, twice)}, nil)
		if (res.Duplicates == 1) != (size >= MinVerified) {
			t.Errorf("%d bytes: %+v", size, res)
		}
	}
}

func TestResultJSON(t *testing.T) {
	b := startBroker(t, faults{}, nil)
	o := small(Pairs, b.address())
	o.QoS, o.Rate = 1, 3000
	raw, err := json.Marshal(mustRun(t, o))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "latency") // when a message was sampled
	delete(got, "driver")  // on Linux
	want := []string{
		"addresses", "clients", "delivered", "disorder", "duplicates", "expected", "failed_connections", "interrupted",
		"lost", "mqtt", "qos", "rate", "refused", "scenario", "seconds", "sent", "size", "stalled", "sub_qos", "unexpected",
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("keys %v", keys)
	}
}
