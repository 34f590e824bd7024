package main

import "github.com/skeinmq/skein/broker/load"

// accessRows are what users and rules cost, Skein against itself without them.
func accessRows() []row {
	as := func(set func(*load.Options)) func(*load.Options) {
		return func(o *load.Options) {
			o.User, o.Password = accessUser, accessPassword
			set(o)
		}
	}
	pairs := as(func(o *load.Options) { o.Clients = 10 })
	idle := as(func(o *load.Options) { o.Scenario, o.Clients = load.Idle, 10_000 })
	steady := as(func(o *load.Options) { o.Clients, o.QoS, o.Rate = 10, 1, 2000 })
	return []row{
		{
			name: "-s pairs -n 10 -q 0 with 100,000 users and 10,000 rules, against none", scheme: "tcp", access: true,
			set: pairs, against: pairs,
			judge: func(m *measured) []finding { return []finding{m.rate(0.97)} },
		},
		{
			name: "-s idle -n 10000 with 100,000 users and 10,000 rules, against none", scheme: "tcp", access: true, fresh: true,
			set: idle, against: idle,
			judge: func(m *measured) []finding { return []finding{m.connectsAtLeast(0.5)} },
		},
		{
			name: "-s pairs -n 10 -q 1 --rate 2000 in a storm of 2,000 wrong passwords a second, against calm", scheme: "tcp",
			access: true, storm: 2000, set: steady, against: steady,
			judge: func(m *measured) []finding { return []finding{m.latencyWithin(2)} },
		},
	}
}
