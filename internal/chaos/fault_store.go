package chaos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// trimFeeds stops the first process, and has every feed lose what it holds before it
// goes on: it has a gap.
func trimFeeds(ctx context.Context, s *stage) error {
	const trim = "for _, k in ipairs(redis.call('KEYS', '*:f')) do redis.call('XTRIM', k, 'MAXLEN', 0) end"
	if err := s.strike(func() error { return s.members[0].pause(true) }); err != nil {
		return err
	}
	s.hold(ctx)
	_, err := s.site.single.Do("EVAL", trim, "0")
	return errors.Join(err, s.members[0].pause(false))
}

// maxClients has the server take no further connection, and ends those that there are.
func maxClients(ctx context.Context, s *stage) error {
	admin, closeAdmin, err := s.site.admin(ctx)
	if err != nil {
		return err
	}
	defer closeAdmin()
	if _, err := admin.Do("CONFIG", "SET", "maxclients", "1"); err != nil {
		return err
	}
	if err := s.strike(func() error { return dropCallers(admin.Do) }); err != nil {
		return err
	}
	s.hold(ctx)
	_, err = admin.Do("CONFIG", "SET", "maxclients", "10000")
	return err
}

// dropCallers ends the connections that scripts were last sent over: those that calls
// go by.
func dropCallers(do func(args ...string) (any, error)) error {
	reply, err := do("CLIENT", "LIST", "TYPE", "normal")
	if err != nil {
		return err
	}
	for line := range strings.Lines(fmt.Sprint(reply)) {
		id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
		if !strings.Contains(line, "cmd=evalsha") {
			continue
		}
		if _, err := do("CLIENT", "KILL", "ID", id); err != nil && !strings.Contains(err.Error(), "No such client") {
			return err
		}
	}
	return nil
}

// loseShard takes one master of a Cluster away that serves the other slots on, and
// has no replica.
func loseShard(ctx context.Context, s *stage) error {
	server := s.site.cluster.Nodes()[0]
	if err := s.strike(server.Kill); err != nil {
		return err
	}
	s.hold(ctx)
	if err := server.Restart(ctx); err != nil {
		return err
	}
	return s.site.settle(ctx)
}

// onLivingShards reports whether a session lies on a shard other than the first of
// three: a partition is 64 slots, and its number begins an id.
func onLivingShards(id string) bool {
	if len(id) < 2 {
		return false
	}
	partition, err := strconv.ParseUint(id[:2], 16, 8)
	return err == nil && partition*64 > 16384/3+64
}

// fillSlowly is a crash after which Redis is empty, with so many sessions that it
// takes the first process a while to fill it again.
func fillSlowly(sessions int) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		const parallel = 16
		made := make([]Op, sessions)
		var makers sync.WaitGroup
		for lane := range parallel {
			makers.Go(func() {
				for i := lane; i < sessions; i += parallel {
					made[i] = s.members[0].do(ctx, Request{Kind: Create, User: fmt.Sprint("lasting", i%500)})
				}
			})
		}
		makers.Wait()
		for i := range made {
			if made[i].begins() {
				s.pool.addOld(made[i].Reply.ID)
			}
		}
		s.probes = append(s.probes, made...)
		return crashEmpty(ctx, s)
	}
}
