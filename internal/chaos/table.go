package chaos

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/internal/faultproxy"
)

// Workloads are all that there are.
func Workloads() []Workload {
	return []Workload{
		{Name: "login-storm", mix: map[Kind]int{Create: 50, Read: 32, Validate: 8, Delete: 10}, hot: 1000, users: 500},
		{Name: "touch-heavy", mix: map[Kind]int{Create: 8, Read: 20, Touch: 60, Update: 6, Delete: 6}, hot: 300, users: 200},
		{Name: "logout-races-touch", mix: map[Kind]int{Create: 20, Read: 12, Validate: 3, Touch: 35, Update: 10, Delete: 20}, hot: 25, users: 100},
		{Name: "revoke-races-login", mix: map[Kind]int{Create: 40, Read: 33, List: 2, Touch: 10, Delete: 5, Revoke: 10}, hot: 100, users: 12},
		{Name: "two-sided-update", mix: map[Kind]int{Create: 8, Read: 30, Update: 55, Delete: 7}, hot: 20, users: 100},
		{Name: "rotate-against-update", mix: map[Kind]int{Create: 3, Read: 20, Update: 73, Rotate: 3, Delete: 1}, hot: 200, users: 100},
		{Name: "expiry", mix: map[Kind]int{Create: 20, Read: 55, Touch: 15, Update: 5, Delete: 5}, hot: 1500, users: 200,
			shortest: 500 * time.Millisecond, longest: 4 * time.Second},
		{Name: "changing-ends", mix: map[Kind]int{Create: 15, Read: 38, Validate: 10, List: 4, Expire: 25, Update: 4, Delete: 3, Sweep: 1}, hot: 150, users: 60, soon: 700 * time.Millisecond},
		{Name: "idle", mix: map[Kind]int{Create: 12, Read: 25, Validate: 10, List: 2, Touch: 45, Update: 4, Delete: 1, Sweep: 1}, hot: 60, users: 60},
	}
}

// workload finds one by its name.
func workload(name string) Workload {
	for _, w := range Workloads() {
		if w.Name == name {
			return w
		}
	}
	return Workload{}
}

// The bounds of what is promised.
const (
	notTold = "a server that forgets all while it stays up is noticed from its feed, after up to a second: until then what other processes wrote in the last moments before is not found"
	skewed  = "a clock is wrong by 30 s: which came first, a login or a revocation of all, and the exact end of a life, are open within that"
)

// singleCells are those of a single server: faults, each with
// the workloads it is played with.
func singleCells() []Cell {
	every := []string{"login-storm", "touch-heavy", "logout-races-touch", "revoke-races-login", "two-sided-update", "rotate-against-update", "expiry"}
	races := []string{"logout-races-touch", "revoke-races-login"}
	both := []failover.Mirror{failover.MirrorSeen, failover.MirrorFull}
	full := both[1:]
	seen := both[:1]
	half := func(p *faultproxy.Proxy, rng *rand.Rand) { p.CutAfter(rng.IntN(40)) }
	loading := func(p *faultproxy.Proxy, _ *rand.Rand) {
		p.Inject([]byte("-LOADING Redis is loading the dataset in memory\r\n"))
	}
	var cells []Cell
	add := func(f Fault, workloads []string, mirrors []failover.Mirror, bound Bound) {
		for _, mirror := range mirrors {
			for i, w := range workloads {
				cells = append(cells, Cell{Fault: f, Workload: workload(w), Topology: Single, Mirror: mirror, Members: 2 + i%2, Bound: bound})
			}
		}
	}
	add(Fault{Name: "hang", run: hang, everyone: true}, every, seen, Bound{})
	add(Fault{Name: "kill-restart", run: crash, everyone: true}, every, seen, Bound{})
	add(Fault{Name: "kill-restart", run: crash, everyone: true}, races, full, Bound{})
	add(Fault{Name: "restart-empty", run: crashEmpty, everyone: true}, every, full, Bound{})
	add(Fault{Name: "restart-empty", run: crashEmpty, everyone: true}, races, seen, Bound{})
	add(Fault{Name: "blink-empty", run: blink}, races, full, Bound{})
	add(Fault{Name: "restart-old", run: crashOld, everyone: true}, []string{"logout-races-touch", "two-sided-update", "rotate-against-update"}, both, Bound{})
	add(Fault{Name: "flushall", run: flushAll}, races, full, Bound{Why: notTold, NotFound: true})
	add(Fault{Name: "flushall", run: flushAll}, []string{"touch-heavy"}, seen, Bound{Why: notTold, NotFound: true})
	for _, w := range []string{"login-storm", "logout-races-touch"} {
		cells = append(cells, Cell{Fault: Fault{Name: "redis-away-in-recovery", run: again, everyone: true}, Workload: workload(w),
			Topology: Single, Mirror: failover.MirrorSeen, Members: 2, Tuning: Tuning{RecoveryRate: 2000}})
	}
	oneWay := []string{"logout-races-touch", "two-sided-update", "rotate-against-update"}
	add(Fault{Name: "partition-up", run: cutOff(faultproxy.Upstream), first: true}, oneWay, seen, Bound{})
	add(Fault{Name: "partition-down", run: cutOff(faultproxy.Downstream), first: true}, oneWay, seen, Bound{})
	add(Fault{Name: "partition", run: cutOff(faultproxy.Both), first: true}, every, seen, Bound{})
	add(Fault{Name: "partition", run: cutOff(faultproxy.Both), first: true}, races, full, Bound{})
	add(Fault{Name: "refused", run: refuse, first: true}, []string{"login-storm", "two-sided-update"}, seen, Bound{})
	add(Fault{Name: "latency-200ms", run: degradeAll(func(p *faultproxy.Proxy) { p.Latency(200 * time.Millisecond) })}, races, seen, Bound{})
	add(Fault{Name: "drip", run: degradeAll(func(p *faultproxy.Proxy) { p.Drip(2000) })}, races, seen, Bound{})
	add(Fault{Name: "reset-mid-reply", run: pester(20*time.Millisecond, half)}, races, seen, Bound{})
	add(Fault{Name: "loading", run: pester(10*time.Millisecond, loading)}, races, seen, Bound{})
	add(Fault{Name: "oom", run: outOfMemory, everyone: true}, races, seen, Bound{})
	add(Fault{Name: "readonly", run: configure([]string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}), everyone: true}, races, seen, Bound{})
	add(Fault{Name: "script-flush", run: scriptFlush}, races[:1], seen, Bound{})
	add(Fault{Name: "password-changed", run: changePassword, everyone: true}, races[:1], seen, Bound{})
	wrong := Bound{Why: skewed, Skew: 31 * time.Second}
	add(Fault{Name: "clock-30s-ahead", run: skew(30 * time.Second), first: true}, races, seen, wrong)
	add(Fault{Name: "clock-30s-behind", run: skew(-30 * time.Second), first: true}, races, seen, wrong)
	return cells
}

// childCells are those in which a perdure process is killed, or has no disk.
func childCells() []Cell {
	var cells []Cell
	for _, f := range []Fault{
		{Name: "perdure-killed-in-outage", run: killInOutage, everyone: true},
		{Name: "perdure-killed-in-recovery", run: killInRecovery, everyone: true},
		{Name: "disk-full", run: diskFull, everyone: true},
	} {
		for _, w := range []string{"login-storm", "logout-races-touch", "revoke-races-login", "rotate-against-update"} {
			c := Cell{Fault: f, Workload: workload(w), Topology: Single, Mirror: failover.MirrorSeen, Members: 2, Children: true}
			if f.Name == "perdure-killed-in-recovery" {
				c.Tuning.RecoveryRate = 1000 // so that something can happen in it
			}
			cells = append(cells, c)
		}
	}
	return cells
}

// Table is every cell.
func Table() []Cell {
	return slices.Concat(singleCells(), childCells(), fleetCells(), clockCells(), endCells(), storeCells(), processCells(), migrationCells())
}

// Find returns the cell of that name.
func Find(name string) (Cell, bool) {
	for _, c := range Table() {
		if c.Name() == name {
			return c, true
		}
	}
	return Cell{}, false
}

// ShortTable is a cell of each sort, for a test.
func ShortTable() (cells []Cell) {
	for _, name := range []string{
		"kill-restart/logout-races-touch/single/seen",
		"hang/revoke-races-login/single/seen",
		"restart-empty/logout-races-touch/single/full",
		"partition/rotate-against-update/single/seen",
		"partition/logout-races-touch/single/seen",
		"promotion-loses-tail/logout-races-touch/sentinel/seen",
		"perdure-killed-in-outage/login-storm/single/seen",
	} {
		if c, ok := Find(name); ok {
			cells = append(cells, c)
		}
	}
	return cells
}
