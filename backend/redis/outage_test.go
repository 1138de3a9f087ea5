package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// However many callers there are, none waits longer than it asked to, and a
// write that its caller has given up is not carried out afterwards.
func TestManyCallersOfAServerThatHangs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL(), Timeout: awaited})
	warmUp := session("u")
	if err := put(t.Context(), b, warmUp); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	const callers = 3000
	late := make([]perdure.Record, callers)
	var all sync.WaitGroup
	var mu sync.Mutex
	var slowest time.Duration
	began := time.Now()
	for i := range callers {
		all.Go(func() {
			late[i] = session(fmt.Sprint("late", i))
			start := time.Now()
			var err error
			if i%2 == 0 {
				err = put(t.Context(), b, late[i])
			} else {
				_, err = b.Get(t.Context(), late[i].ID)
			}
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, time.Since(start))
			if !errors.Is(err, perdure.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	loads := int(time.Since(began)/awaited) + 1 // that a carrier had in that time
	if slowest > time.Minute {
		t.Errorf("a caller waited %v, with a timeout of %v", slowest, awaited)
	}
	if err := server.Continue(); err != nil {
		t.Fatal(err)
	}
	wantBack(t, b)
	applied := 0
	for i := 0; i < callers; i += 2 {
		got, err := b.Get(t.Context(), late[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Exists() {
			applied++
		}
	}
	if most := loads * carriers * maxParcels; applied > most {
		t.Errorf("%d writes that were given up were carried out, more than the %d that were under way", applied, most)
	}
}

// TestOpenIsBounded: nothing that listens, or does not, holds Open up.
func TestOpenIsBounded(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, url := range map[string]string{
		"one that is silent":      "redis://" + silent.Addr().String(),
		"one with a database":     "redis://" + silent.Addr().String() + "/1",
		"a silent Cluster":        "redis://" + silent.Addr().String() + "," + silent.Addr().String(),
		"a silent Sentinel":       "redis://" + silent.Addr().String() + "?master_name=mymaster",
		"one that is silent, TLS": "rediss://" + silent.Addr().String(),
	} {
		start := time.Now()
		_, err := Open(t.Context(), Options{URL: url, Timeout: 300 * time.Millisecond})
		if !errors.Is(err, perdure.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s: it took %v", name, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := Open(ctx, Options{URL: url}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, with a deadline: %v", name, err)
		}
		cancel()
	}
}

func TestWrongServersAreNamed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{TLS: true})
	plain := redistest.Start(t, redistest.Options{})
	other := redistest.Start(t, redistest.Options{TLS: true})
	guarded := redistest.Start(t, redistest.Options{Password: "opensesame"})
	group := redistest.StartSentinel(t, redistest.SentinelOptions{})
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	for name, c := range map[string]struct {
		options Options
		says    string
	}{
		"not a Cluster":          {Options{URL: "redis://" + plain.Addr() + "," + plain.Addr()}, "Cluster"},
		"no Sentinel":            {Options{URL: "redis://" + plain.Addr() + "?master_name=m"}, "Sentinel"},
		"plain to TLS":           {Options{URL: "redis://" + server.Addr()}, "rediss://"},
		"TLS to plain":           {Options{URL: "rediss://" + plain.Addr()}, "redis://"},
		"no such master":         {Options{URL: strings.ReplaceAll(group.URL(), "master_name=", "master_name=other-")}, "master_name"},
		"a Cluster's database":   {Options{URL: "redis://" + cluster.Nodes()[0].Addr() + "/1"}, "database"},
		"a wrong password":       {Options{URL: "redis://:hunter2@" + guarded.Addr()}, "WRONGPASS"},
		"no password":            {Options{URL: "redis://" + guarded.Addr()}, "NOAUTH"},
		"another authority":      {Options{URL: server.URL(), CAFile: other.CAFile(), CertFile: server.CertFile(), KeyFile: server.KeyFile()}, "CAFile"},
		"no client certificate":  {Options{URL: server.URL(), CAFile: server.CAFile()}, "certificate"},
		"a database too far out": {Options{URL: plain.URL() + "/99"}, "database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // some say nothing until then
			defer cancel()
			_, err := Open(ctx, c.options)
			if !errors.Is(err, perdure.ErrInvalid) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Error(err)
			}
		})
	}
}

// After a failover the client finds the new master by itself.
func TestSentinelsNameANewMaster(t *testing.T) {
	t.Parallel()
	group := redistest.StartSentinel(t, redistest.SentinelOptions{})
	b := open(t, Options{URL: group.URL()})
	kept := session("u")
	if err := put(t.Context(), b, kept); err != nil {
		t.Fatal(err)
	}
	warm(t, b, kept.ID)
	if err := group.Settle(t.Context()); err != nil { // the replica has it
		t.Fatal(err)
	}
	if err := group.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := group.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantBack(t, b)
	if err := remove(t.Context(), b, kept); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, Options{URL: group.Master().URL()}).Get(t.Context(), kept.ID)
	if err != nil || got.Kind != perdure.KindTombstone {
		t.Errorf("on the new master: %+v, %v", got, err)
	}
	killed, err := group.KillMaster()
	if err != nil {
		t.Fatal(err)
	}
	wantBack(t, b)
	if err := killed.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// While a slot is on its way reads find records on both sides, writes that need
// both wait for the end of the move, and nothing is lost.
func TestASlotOnItsWay(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	b := open(t, Options{URL: cluster.URL()})
	stays, moves := session("u"), session("u")
	for _, r := range []perdure.Record{stays, moves} {
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
	}
	move := openSlotOf(t, cluster, stays)
	if err := move.Keys(b.keys.record(moves.ID)); err != nil {
		t.Fatal(err)
	}
	b.near.clear()
	for _, r := range []perdure.Record{stays, moves} {
		for range 3 {
			if got, err := b.Get(t.Context(), r.ID); err != nil || got.Version != r.Version {
				t.Errorf("while the slot moves: %+v, %v", got, err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := remove(ctx, b, moves); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a write that needs both sides: %v", err)
	}
	finished := make(chan error, 1)
	waits := make(chan error, 1)
	go func() { waits <- remove(t.Context(), b, stays) }()
	go func() { finished <- move.Finish(t.Context()) }()
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err != nil {
		t.Errorf("a write that waits for the end of the move: %v", err)
	}
	for _, r := range []perdure.Record{stays, moves} {
		if err := remove(t.Context(), b, r); err != nil {
			t.Errorf("after the move: %v", err)
		}
		if got, err := b.Get(t.Context(), r.ID); err != nil || got.Kind != perdure.KindTombstone {
			t.Errorf("after the move: %+v, %v", got, err)
		}
	}
}

// A master of a Cluster that is down fails what lies on it, and nothing else.
func TestOneMasterOfAClusterIsDown(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{Node: redistest.Options{Config: []string{"cluster-require-full-coverage no"}}})
	b := open(t, Options{URL: cluster.URL(), Timeout: awaited})
	var records []perdure.Record
	for i := range 60 {
		r := session(fmt.Sprint("u", i))
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	b.near.clear()
	if err := cluster.Nodes()[0].Stop(); err != nil {
		t.Fatal(err)
	}
	var failed atomic.Int64
	var all sync.WaitGroup
	for _, r := range records {
		all.Go(func() {
			got, err := b.Get(t.Context(), r.ID)
			switch {
			case err == nil && got.Version == r.Version:
			case errors.Is(err, perdure.ErrUnavailable):
				failed.Add(1)
			default:
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	all.Wait()
	if failed := int(failed.Load()); failed == 0 || failed > len(records)*2/3 {
		t.Errorf("with one of three masters down %d of %d reads failed", failed, len(records))
	}
	if err := cluster.Nodes()[0].Continue(); err != nil {
		t.Fatal(err)
	}
}
