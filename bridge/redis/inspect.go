package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// What makes a server unfit; [Client.Inspect] wraps them with which server it is.
var (
	ErrVersion  = errors.New("must be Redis 7.0 or later")
	ErrEviction = errors.New("must have maxmemory-policy noeviction: a server that evicts forgets what was acknowledged")
	ErrReplica  = errors.New("must be a primary, is a replica")
	ErrMode     = errors.New("must be spoken to as what it is")
	ErrSlots    = errors.New("must serve all hash slots")
)

// Facts are what was found out about a Redis.
type Facts struct {
	Servers  []Server // the primaries, by address
	Warnings []string // what costs messages or an outage one day, each once
}

// Server is one primary. What could not be found out is empty.
type Server struct {
	Addr        string // as it was connected to
	Version     string
	Role        string // master or slave
	Cluster     bool
	AOF         bool
	AppendFsync string // always, everysec, no; empty without the right to CONFIG GET
	Eviction    string
	MaxMemory   int64 // bytes; 0 is no limit
	Replicas    int   // that are connected
}

// Inspect asks the server, or every primary of a Cluster, what it is. The error is an
// outage, or one of the above when a server is unfit; facts are there as far as they
// were found. It needs the right to INFO; without that to CONFIG GET it knows less and
// warns.
func (c *Client) Inspect(ctx context.Context) (Facts, error) {
	var f Facts
	var errs []error
	var mu sync.Mutex // guards f and errs: servers of a Cluster are asked at once
	ask := func(ctx context.Context, one *goredis.Client) error {
		s, warnings, err := inspect(ctx, one)
		mu.Lock()
		defer mu.Unlock()
		if s.Version != "" {
			f.Servers = append(f.Servers, s)
			err = errors.Join(err, s.unfit(c.set.target.Mode))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("redis at %s %w", s.Addr, err))
		}
		for _, w := range append(warnings, s.warnings()...) {
			if !slices.Contains(f.Warnings, w) {
				f.Warnings = append(f.Warnings, w)
			}
		}
		return nil
	}
	var err error
	switch u := c.UniversalClient.(type) {
	case *goredis.ClusterClient:
		if err = u.ForEachMaster(ctx, ask); err == nil {
			err = slots(ctx, u)
		}
	case *goredis.Client:
		err = ask(ctx, u)
	}
	slices.SortFunc(f.Servers, func(a, b Server) int { return strings.Compare(a.Addr, b.Addr) })
	return f, errors.Join(append(errs, err)...)
}

// inspect asks one server. Version is empty when it did not answer.
func inspect(ctx context.Context, c *goredis.Client) (s Server, warnings []string, err error) {
	s.Addr = c.Options().Addr
	text, err := c.Info(ctx).Result()
	if err != nil {
		return s, nil, fmt.Errorf("does not tell what it is: %w", err)
	}
	s.read(text)
	config, err := c.ConfigGet(ctx, "appendfsync").Result()
	switch k := Classify(err); {
	case err == nil:
		s.AppendFsync = config["appendfsync"]
	case k == Answer || k == NoPerm: // forbidden, renamed, or a service that has no CONFIG
		warnings = append(warnings, "CONFIG GET is not allowed: whether the append-only file is synced is not known")
	default:
		return s, warnings, fmt.Errorf("does not tell its configuration: %w", err)
	}
	return s, warnings, nil
}

// read takes what INFO says.
func (s *Server) read(info string) {
	var v = map[string]string{}
	for line := range strings.SplitSeq(info, "\n") {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			v[key] = value
		}
	}
	s.Version, s.Role, s.Eviction = v["redis_version"], v["role"], v["maxmemory_policy"]
	if s.Version == "" {
		s.Version = "unknown"
	}
	s.Cluster, s.AOF = v["cluster_enabled"] == "1", v["aof_enabled"] == "1"
	s.MaxMemory, _ = strconv.ParseInt(v["maxmemory"], 10, 64) // 0 without it
	s.Replicas, _ = strconv.Atoi(v["connected_slaves"])       // as above
}

// unfit is why a server cannot be used, or nil.
func (s *Server) unfit(m Mode) error {
	var errs []error
	major, _, _ := strings.Cut(s.Version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		errs = append(errs, fmt.Errorf("%w, is %s", ErrVersion, s.Version))
	}
	if s.Role == "slave" {
		errs = append(errs, ErrReplica)
	}
	switch {
	case s.Cluster && m != Cluster:
		errs = append(errs, fmt.Errorf("%w: it is part of a Cluster, write redis+cluster://", ErrMode))
	case !s.Cluster && m == Cluster:
		errs = append(errs, fmt.Errorf("%w: it is no part of a Cluster, write redis://", ErrMode))
	}
	if s.Eviction != "" && s.Eviction != "noeviction" {
		errs = append(errs, fmt.Errorf("%w, is %s", ErrEviction, s.Eviction))
	}
	return errors.Join(errs...)
}

// warnings are what an operator should know about a server that can be used.
func (s *Server) warnings() []string {
	var w []string
	if s.Version == "" {
		return nil
	}
	if s.Eviction == "" {
		w = append(w, "the server does not tell its maxmemory-policy: it must be noeviction")
	}
	switch {
	case !s.AOF:
		w = append(w, "appendonly is no: what was acknowledged is lost when the server is started again")
	case s.AppendFsync == "everysec":
		w = append(w, "appendfsync is everysec: about a second of what was acknowledged is lost when the machine of the server dies")
	case s.AppendFsync == "no":
		w = append(w, "appendfsync is no: what was acknowledged in the last half minute is lost when the machine of the server dies")
	}
	if s.MaxMemory == 0 {
		w = append(w, "maxmemory is not set: the system ends a server that takes all memory")
	}
	return w
}

// slots reports a Cluster that does not serve every slot.
func slots(ctx context.Context, c *goredis.ClusterClient) error {
	text, err := c.ClusterInfo(ctx).Result()
	if err != nil {
		return fmt.Errorf("redis: ask for the state of the cluster: %w", err)
	}
	if !strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, "cluster_slots_ok:16384") {
		return fmt.Errorf("redis cluster %w", ErrSlots)
	}
	return nil
}
