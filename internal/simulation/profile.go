package simulation

import (
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// Profile is a kind of history: who takes part, what they do and what befalls
// them.
type Profile struct {
	Name  string
	About string // in one sentence

	Procs  int
	Owners []int // the service of each process; defaults to one service for all
	Users  int
	Steps  int
	Pause  time.Duration // the longest between two steps, most are shorter
	Quiet  time.Duration // at the end, before all is looked at; defaults to 5 minutes
	Lives  []time.Duration
	Puts   []time.Duration // expiries that are set, from then; defaults to what follows from the lives
	Weight map[Op]int
	Modes  []Mode
	Clocks []time.Duration // how far a clock may be off
	Drifts []time.Duration // a minute
	Outage time.Duration   // how long a link stays as it is, about; defaults to 30 seconds
	Size   int             // bytes that every session has more
	Files  bool            // journals are files
	Shared bool            // in one directory
	Loses  bool            // the front store may lose data
	Absent bool            // and does while who holds a session is away
	Exact  bool            // the feed is waited for as long as it is asked to

	// EndsTaken says that no delete or revocation may be refused by a process that
	// runs.
	EndsTaken bool

	Failover failover.Options // but for Open, Dir and Now
	Store    perdure.Options  // but for Now
}

// basic is what applications do.
func basic() map[Op]int {
	return map[Op]int{
		Create: 14, CreateID: 2, Get: 10, GetMany: 3, Exists: 3, Update: 8, Touch: 6, Delete: 6, Revoke: 1,
		RevokeUser: 2, Rotate: 5, ListUser: 3, ListAll: 1, Copy: 2, MergeCopy: 2, Sweep: 1,
		Link: 14,
	}
}

func with(more map[Op]int) map[Op]int {
	w := basic()
	for op, n := range more {
		w[op] = n
	}
	return w
}

const day = 24 * time.Hour

var (
	minutesLong = []time.Duration{time.Hour, time.Hour, 2 * time.Hour, day}
	short       = []time.Duration{40 * time.Second, 2 * time.Minute, 5 * time.Minute, time.Hour}
	outages     = []Mode{Cut, Cut, Hang, Deaf, ReadOnly, Full, Slow}
)

// Profiles are all kinds.
func Profiles() []Profile {
	return []Profile{
		{
			Name: "outages", About: "several processes, each cut off now and then",
			Procs: 3, Users: 3, Steps: 60, Pause: 20 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{LoseNext: 2, Stop: 2}), Modes: outages,
		},
		{
			Name: "rotations", About: "chains of rotations, and logouts under every id of them",
			Procs: 4, Users: 2, Steps: 80, Pause: 12 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Create: 14, Get: 8, GetMany: 0, Exists: 0, Update: 2, Touch: 2, ListUser: 0, ListAll: 0, Copy: 0, MergeCopy: 0, Rotate: 22, Delete: 14, RevokeUser: 1, Link: 8}), Modes: []Mode{Cut, Cut, Hang},
			Outage: 3 * time.Minute,
		},
		{
			Name: "two sides", About: "sessions that are changed and touched on both sides of a partition",
			Procs: 2, Users: 2, Steps: 70, Pause: 10 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Create: 5, Update: 35, Touch: 10, Delete: 3, RevokeUser: 0, Rotate: 2, MergeCopy: 8, Copy: 8}), Modes: []Mode{Cut, Hang, ReadOnly},
			Outage: time.Minute,
		},
		{
			Name: "old copies", About: "copies of records that are merged long after, as a migration or a replica does",
			Procs: 2, Users: 2, Steps: 70, Pause: 15 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Copy: 16, MergeCopy: 20, Delete: 10, RevokeUser: 5, Link: 6}), Modes: []Mode{Cut, ReadOnly},
		},
		{
			Name: "clock steps", About: "clocks that are wrong for a while and right again",
			Procs: 2, Users: 3, Steps: 50, Pause: 20 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Clock: 10, Drift: 2}), Modes: []Mode{Cut},
			Clocks: []time.Duration{40 * time.Second, 90 * time.Second, time.Hour, day, -40 * time.Second, -90 * time.Second, -time.Hour},
			Drifts: []time.Duration{time.Second, -time.Second},
		},
		{
			Name: "wrong clock beside a sweeper", About: "a process whose clock is off sweeps what others use",
			Procs: 2, Users: 2, Steps: 50, Pause: 15 * time.Second, Lives: []time.Duration{5 * time.Minute, time.Hour}, Weight: with(map[Op]int{Clock: 8, Touch: 30, Link: 0, Rotate: 0, Sweep: 4}),
			Clocks: []time.Duration{40 * time.Second, 2 * time.Hour, -90 * time.Second, -40 * time.Second},
			Store:  perdure.Options{IdleTimeout: 30 * time.Second},
		},
		{
			Name: "changing expiries", About: "expiries brought forward and put off while some are cut off",
			Procs: 2, Users: 2, Steps: 70, Pause: 12 * time.Second, Lives: []time.Duration{time.Minute, 4 * time.Minute}, Puts: []time.Duration{20 * time.Second, time.Minute, 10 * time.Minute},
			Weight: with(map[Op]int{Create: 7, Expire: 25, Get: 20, Delete: 2, RevokeUser: 1, Rotate: 1, Stop: 5, Gap: 1}), Modes: []Mode{Cut, Hang},
			Outage: 3 * time.Minute,
		},
		{
			Name: "idle timeouts", About: "sessions that touches keep alive while some are cut off",
			Procs: 2, Users: 2, Steps: 80, Pause: 10 * time.Second, Lives: []time.Duration{time.Hour}, Weight: with(map[Op]int{Create: 5, Get: 20, Touch: 50, Rotate: 1, Delete: 2, RevokeUser: 1, Link: 8}), Modes: []Mode{Cut},
			Store: perdure.Options{IdleTimeout: time.Minute}, Outage: 4 * time.Minute,
		},
		{
			Name: "long outages", About: "partitions of hours and days",
			Procs: 2, Users: 3, Steps: 40, Pause: 3 * time.Hour, Quiet: 2 * time.Hour, Lives: []time.Duration{2 * day, 6 * day}, Weight: basic(), Modes: []Mode{Cut},
			Outage: 40 * time.Hour, EndsTaken: true,
			Failover: failover.Options{RetryDelay: 5 * time.Minute, HealthCheckInterval: 10 * time.Minute},
			Store:    perdure.Options{SweepInterval: 10 * time.Minute},
		},
		{
			Name: "full journals", About: "journals too small for what is written",
			Procs: 2, Users: 3, Steps: 80, Pause: 5 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Create: 30, Delete: 12, RevokeUser: 5}), Modes: []Mode{Cut},
			EndsTaken: true, Outage: 2 * time.Minute,
			Size:     8 << 10,
			Failover: failover.Options{MaxJournalBytes: 64 << 10},
		},
		{
			Name: "restarts", About: "processes killed at any step, and started again",
			Procs: 2, Users: 3, Steps: 60, Pause: 20 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Kill: 4, CrashAt: 4, Start: 6}), Modes: []Mode{Cut, Hang, Deaf},
			Files: true,
		},
		{
			Name: "long absences", About: "killed in one outage and started in another",
			Procs: 2, Users: 2, Steps: 70, Pause: 20 * time.Minute, Quiet: 30 * time.Minute, Lives: []time.Duration{6 * day}, Weight: with(map[Op]int{Kill: 8, Link: 10, Get: 45, Delete: 16, Rotate: 0, RevokeUser: 0}), Modes: []Mode{Cut},
			Outage: 8 * time.Hour, Files: true,
			Failover: failover.Options{RetryDelay: 2 * time.Minute, HealthCheckInterval: 2 * time.Minute},
			Store:    perdure.Options{SweepInterval: 10 * time.Minute},
		},
		{
			Name: "old directories", About: "data directories that are copied, put back, removed and damaged",
			Procs: 2, Users: 3, Steps: 60, Pause: 20 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Kill: 6, Start: 8, CopyDir: 4, BackDir: 3, WipeDir: 1, Damage: 2}), Modes: []Mode{Cut},
			Files: true,
		},
		{
			Name: "shared directory", About: "processes of one service share a directory",
			Procs: 3, Users: 3, Steps: 60, Pause: 20 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Kill: 6, Start: 8}), Modes: []Mode{Cut},
			Files: true, Shared: true,
		},
		{
			Name: "foreign journals", About: "two services share a directory",
			Procs: 3, Owners: []int{0, 1, 1}, Users: 3, Steps: 60, Pause: 20 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Kill: 6, Start: 8}), Modes: []Mode{Cut},
			Files: true, Shared: true,
		},
		{
			Name: "maximum age", About: "what is served in an outage may be 20 seconds old",
			Procs: 2, Users: 2, Steps: 50, Pause: 10 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Touch: 12}), Modes: []Mode{Cut},
			Exact: true, Outage: 2 * time.Minute,
			Failover: failover.Options{MaxAge: 20 * time.Second},
		},
		{
			Name: "short epochs", About: "a maximum life below the horizon",
			Procs: 2, Users: 2, Steps: 60, Pause: 15 * time.Minute, Quiet: 30 * time.Minute, Lives: []time.Duration{30 * time.Minute, 50 * time.Minute}, Puts: []time.Duration{10 * time.Hour},
			Weight: with(map[Op]int{Expire: 25, RevokeUser: 8, Delete: 0, Rotate: 1, Update: 12}), Modes: []Mode{Cut},
			Outage:   3 * time.Hour,
			Failover: failover.Options{RetryDelay: 2 * time.Minute, HealthCheckInterval: 2 * time.Minute},
			Store:    perdure.Options{TTL: 30 * time.Minute, MaxTTL: time.Hour, SweepInterval: 2 * time.Minute},
		},
		{
			Name: "data loss", About: "a front store that comes back empty or older",
			Procs: 3, Users: 3, Steps: 60, Pause: 20 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Reboot: 2, Empty: 2, Save: 3, Older: 2, Gap: 2}), Modes: []Mode{Cut, Hang},
			Loses: true,
		},
		{
			Name: "loss while others are away", About: "a front store that comes back empty or older while who holds a session is stopped, cut off or killed, and others, or new ones, are told to end it",
			Procs: 3, Users: 2, Steps: 60, Pause: 15 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Empty: 4, Save: 2, Older: 2}), Modes: []Mode{Cut, Hang},
			Loses: true, Absent: true, Files: true,
			Failover: failover.Options{Mirror: failover.MirrorSeen},
		},
		{
			Name: "full mirrors", About: "every process keeps all sessions",
			Procs: 3, Users: 3, Steps: 60, Pause: 20 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{ListUser: 10, Stop: 2, Gap: 1}), Modes: []Mode{Cut, Hang},
			Failover: failover.Options{Mirror: failover.MirrorFull},
		},
		{
			Name: "expected versions", About: "updates that expect a version, from several processes",
			Procs: 3, Users: 2, Steps: 60, Pause: 10 * time.Second, Lives: minutesLong, Weight: with(map[Op]int{Expect: 25, Get: 10}), Modes: []Mode{Cut},
		},
	}
}
