package model

// Kind is what a step does.
type Kind uint8

// The kinds of steps. Those from Publish on need not happen: nobody waits for them.
const (
	Append Kind = iota
	Ack
	Apply
	Consume
	Commit
	MoveCommit
	Claim
	Prepare
	AddRoute
	SendMove
	Finish
	Superseded
	See
	Adopt
	Load
	Notice
	Expire
	Resume
	RemoveRoute
	SubRoute
	Suback
	Join
	Forget
	Retake
	Reroute

	Publish
	Connect
	Leave
	Crash
	Pause
	Reconnect
	Trim
	Elide
	Abort
	kinds
)

var kindNames = [kinds]string{
	Append: "XADD message", Ack: "lease check, PUBACK", Apply: "apply route change", Consume: "consume",
	Commit: "commit", MoveCommit: "move: commit the new mailbox", Claim: "claim", Prepare: "XADD prepare",
	AddRoute: "add routes", SendMove: "barrier done, XADD move", Finish: "load S, CONNACK",
	Superseded: "sees its claim replaced", See: "sees that the owner's lease has run out", Adopt: "adopt mailbox",
	Load: "load the sessions of adopted mailbox", Notice: "notices that its lease is lost, leaves",
	Expire: "lease runs out", Resume: "goes on", RemoveRoute: "remove route", SubRoute: "add route for SUBSCRIBE",
	Suback: "barrier done, SUBACK", Join: "joins", Forget: "overlap set: empty route change, its barrier, forgotten",
	Retake: "takes its lease again", Reroute: "reads the routes to the end, routes what is unacknowledged again",
	Publish: "PUBLISH", Connect: "client of S: CONNECT", Leave: "client of S goes", Crash: "crash", Pause: "pause",
	Reconnect: "publisher connects", Trim: "trim", Elide: "client acknowledged, entry elided", Abort: "gives the move up",
}

// String is what happens.
func (k Kind) String() string { return kindNames[k] }

// Chance reports whether the step need not happen.
func (k Kind) Chance() bool { return k >= Publish }

// rare reports whether the step is one of few that a bound allows.
func (k Kind) rare() bool {
	switch k {
	case Crash, Pause, Connect, Reconnect:
		return true
	}
	return false
}

// Step is one atomic step: what, by which process, and its argument: a mailbox, a
// message, or which part of it.
type Step struct {
	Kind Kind
	Who  uint8
	Arg  uint8
}

// steps appends the steps that may be possible in s; take says whether one is.
func (m *Model) steps(s *State, list []Step) []Step {
	for i := range processes {
		list = m.lifeSteps(s, i, list)
		if s.P[i].Life == running {
			list = m.leaseSteps(s, i, list)
			list = m.publishSteps(s, i, list)
			list = m.boxSteps(s, i, list)
			list = m.ownerSteps(s, i, list)
			list = m.subscribeSteps(s, i, list)
			list = m.moveSteps(s, i, list)
			list = m.adoptSteps(s, i, list)
		}
	}
	return m.clientSteps(s, list)
}

// lifeSteps are what befalls a process.
func (m *Model) lifeSteps(s *State, i int, list []Step) []Step {
	who := uint8(i)
	life := s.P[i].Life
	if life == unborn {
		return append(list, Step{Join, who, 0})
	}
	if (life == running || life == paused) && s.Crashes > 0 {
		list = append(list, Step{Crash, who, 0})
	}
	if life == running && s.Pauses > 0 {
		list = append(list, Step{Pause, who, 0})
	}
	if life == paused {
		list = append(list, Step{Resume, who, 0})
	}
	if s.Lease[i] == 1 && (life == dead || life == paused) {
		list = append(list, Step{Expire, who, 0})
	}
	return list
}

// clientSteps are what S's client and the publisher may do.
func (m *Model) clientSteps(s *State, list []Step) []Step {
	for i := range processes {
		who := uint8(i)
		if s.P[i].Life != running {
			continue
		}
		if s.Client.Connects > 0 && s.Client.At != who {
			list = append(list, Step{Connect, who, 0})
		}
		if s.Pub.Reconnects > 0 && s.Pub.Visited>>i&1 == 0 {
			list = append(list, Step{Reconnect, who, 0})
		}
	}
	if m.in.Leave && s.Client.At != none && s.Client.State == clientWaits {
		list = append(list, Step{Leave, 0, 0})
	}
	return list
}

// take performs a step that steps has listed. It reports false, with s then to be
// thrown away, when the step is not possible after all; the text is the promise broken.
func (m *Model) take(s *State, x Step) (Violation, bool) {
	v, ok := effects[x.Kind](m, s, int(x.Who), x.Arg)
	if !ok {
		return "", false
	}
	m.normalise(s)
	if v == "" {
		v = s.oneOwner()
	}
	return v, true
}

// effect performs one kind of step at process i.
type effect func(m *Model, s *State, i int, arg uint8) (Violation, bool)

// may is a step that breaks no promise at once, but may not be possible.
func may(f func(m *Model, s *State, i int, arg uint8) bool) effect {
	return func(m *Model, s *State, i int, arg uint8) (Violation, bool) { return "", f(m, s, i, arg) }
}

// does is a step that is always possible.
func does(f func(m *Model, s *State, i int, arg uint8)) effect {
	return func(m *Model, s *State, i int, arg uint8) (Violation, bool) { f(m, s, i, arg); return "", true }
}

var effects = [kinds]effect{
	Append: may((*Model).append), Ack: does((*Model).ack), Apply: does((*Model).apply),
	Consume: may((*Model).consume), Commit: (*Model).commit, MoveCommit: does((*Model).moveCommit),
	Claim: may((*Model).claim), Prepare: may((*Model).prepare), AddRoute: may((*Model).addMoveRoute),
	SendMove: may((*Model).sendMove), Finish: may((*Model).finish), Superseded: does((*Model).dropMove),
	See: does((*Model).see), Adopt: does((*Model).adopt), Load: does((*Model).load), Notice: does((*Model).notice),
	Expire: does((*Model).expire), Resume: does((*Model).resume), RemoveRoute: may((*Model).removeRoute),
	SubRoute: may((*Model).subRoute), Suback: does((*Model).suback), Join: does((*Model).join),
	Forget: may((*Model).forget), Retake: does((*Model).retake), Reroute: may((*Model).reroute),
	Publish: may((*Model).publish), Connect: does((*Model).connect), Leave: does((*Model).leave),
	Crash: does((*Model).crash), Pause: does((*Model).pause), Reconnect: does((*Model).reconnect),
	Trim: does((*Model).trim), Elide: (*Model).elide, Abort: does((*Model).abort),
}
