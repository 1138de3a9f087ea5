package chaos

import "github.com/perdure/perdure/backend/failover"

// fleetCells are those of Sentinel and Cluster.
func fleetCells() []Cell {
	var cells []Cell
	add := func(t Topology, f Fault, mirrors []failover.Mirror, workloads ...string) {
		for _, mirror := range mirrors {
			for _, w := range workloads {
				cells = append(cells, Cell{Fault: f, Workload: workload(w), Topology: t, Mirror: mirror, Members: 2})
			}
		}
	}
	seen, both := []failover.Mirror{failover.MirrorSeen}, []failover.Mirror{failover.MirrorSeen, failover.MirrorFull}
	add(Sentinel, Fault{Name: "promotion-loses-tail", run: promote}, both, "login-storm", "logout-races-touch", "rotate-against-update")
	add(Sentinel, Fault{Name: "hand-over", run: handOver}, seen, "logout-races-touch", "two-sided-update")
	add(Sentinel, Fault{Name: "hang", run: hang, everyone: true}, seen, "logout-races-touch")
	add(Cluster, Fault{Name: "master-lost", run: promote}, both, "login-storm", "logout-races-touch", "rotate-against-update")
	add(Cluster, Fault{Name: "hang", run: hang}, seen, "revoke-races-login")
	for _, w := range []string{"logout-races-touch", "revoke-races-login"} {
		cells = append(cells, Cell{Fault: Fault{Name: "shard-down", run: loseShard, reachable: onLivingShards}, Workload: workload(w), Topology: Sharded, Members: 2})
	}
	return cells
}
