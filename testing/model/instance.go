package model

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Instance is what happens at most: the bounds of a search.
type Instance struct {
	Name, About string

	Messages    int // of the publisher, 1 to 3
	QoS         int // 1 or 2
	PublisherAt int // the process it starts at: 0 is A
	Reconnects  int // of the publisher, each to a process it has not been at
	Connects    int // of S's client, to another process each time
	Crashes     int
	Pauses      int
	Others      int // mailboxes, a bit each, with another session of the same filter

	Subscribe bool // S subscribes only now
	Join      bool // C joins only now
	Remove    bool // routes that nobody needs are removed
	Leave     bool // S's client may go before it is answered
	Elide     bool // entries that the client acknowledged first are not written
	Forget    bool // the overlap set is forgotten
	Retake    bool // a lease that ran out may be taken again
}

// Instances are the named ones, with bounds that Set changes.
var instances = map[string]Instance{
	"move":     {About: "S at A, its client goes to B; publisher at C", Messages: 2, QoS: 1, PublisherAt: 2, Connects: 1},
	"move-own": {About: "the same, publisher at A, where S is", Messages: 2, QoS: 1, PublisherAt: 0, Connects: 1},
	"move-tgt": {About: "the same, publisher at B, where S goes", Messages: 2, QoS: 1, PublisherAt: 1, Connects: 1},
	"move-s2":  {About: "the same, publisher at C; B has another session of the same filter", Messages: 2, QoS: 1, PublisherAt: 2, Connects: 1, Others: 2},
	"third":    {About: "the client goes to B, then to C or back to A: moves overlap", Messages: 2, QoS: 1, PublisherAt: 2, Connects: 2},
	"still":    {About: "S stays at A, the publisher goes from process to process", Messages: 2, QoS: 1, PublisherAt: 2, Reconnects: 1},
	"sub":      {About: "a new subscription at A", Messages: 1, QoS: 1, PublisherAt: 2, Subscribe: true},
	"join":     {About: "a new subscription at A while C joins and the publisher goes to C", Messages: 1, QoS: 1, PublisherAt: 1, Reconnects: 1, Subscribe: true, Join: true},
}

// Names lists the instances.
func Names() []string { return slices.Sorted(maps.Keys(instances)) }

// Named is an instance with its bounds changed: "messages=1,crashes=1,retake=1".
func Named(name, bounds string) (Instance, error) {
	in, ok := instances[name]
	if !ok {
		return in, fmt.Errorf("no instance is called %q; there are %s", name, strings.Join(Names(), " "))
	}
	in.Name = name
	for b := range strings.SplitSeq(bounds, ",") {
		if b == "" {
			continue
		}
		if err := in.set(b); err != nil {
			return in, err
		}
	}
	return in, in.check()
}

func (in *Instance) set(bound string) error {
	key, value, _ := strings.Cut(bound, "=")
	n, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("bound %q: %w", bound, err)
	}
	numbers := map[string]*int{
		"messages": &in.Messages, "qos": &in.QoS, "publisher": &in.PublisherAt, "reconnects": &in.Reconnects,
		"connects": &in.Connects, "crashes": &in.Crashes, "pauses": &in.Pauses, "others": &in.Others,
	}
	switches := map[string]*bool{
		"remove": &in.Remove, "leave": &in.Leave, "elide": &in.Elide, "forget": &in.Forget, "retake": &in.Retake,
	}
	if p, ok := numbers[key]; ok {
		*p = n
		return nil
	}
	if p, ok := switches[key]; ok {
		*p = n != 0
		return nil
	}
	return fmt.Errorf("bound %q: there are %s %s", bound,
		strings.Join(slices.Sorted(maps.Keys(numbers)), " "), strings.Join(slices.Sorted(maps.Keys(switches)), " "))
}

// check refuses bounds that the state's fields cannot hold.
func (in *Instance) check() error {
	ids := in.Messages
	if in.QoS == 1 {
		ids *= in.Reconnects + 1
	}
	switch {
	case in.Messages < 1 || in.Messages > 3:
		return fmt.Errorf("messages must be 1 to 3, is %d", in.Messages)
	case in.QoS != 1 && in.QoS != 2:
		return fmt.Errorf("qos must be 1 or 2, is %d", in.QoS)
	case ids > maxID:
		return fmt.Errorf("messages and reconnects make %d ids, at most %d", ids, maxID)
	case in.PublisherAt < 0 || in.PublisherAt >= processes:
		return fmt.Errorf("publisher must be 0 to %d, is %d", processes-1, in.PublisherAt)
	}
	return nil
}

// String is the instance with all its bounds.
func (in Instance) String() string {
	s := fmt.Sprintf("%s (%s): %d messages at QoS %d, publisher at %c reconnects %d, client connects %d, %d crashes, %d pauses",
		in.Name, in.About, in.Messages, in.QoS, 'A'+in.PublisherAt, in.Reconnects, in.Connects, in.Crashes, in.Pauses)
	for _, f := range []struct {
		name string
		on   bool
	}{{"remove", in.Remove}, {"leave", in.Leave}, {"elide", in.Elide}, {"forget", in.Forget}, {"retake", in.Retake}} {
		if f.on {
			s += ", " + f.name
		}
	}
	return s
}
