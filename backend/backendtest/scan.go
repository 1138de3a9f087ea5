package backendtest

import "github.com/perdure/perdure"

func scanLaws() []law {
	return []law{
		{"ShowsEachRecord", scanShowsEachRecord, nil},
		{"ShowsTheDeadWhenAsked", scanShowsTheDeadWhenAsked, nil},
		{"KeepsToItsPartitions", scanKeepsToItsPartitions, nil},
		{"KeepsItsPagesShort", scanKeepsItsPagesShort, nil},
		{"GoesOnInAnotherProcess", scanGoesOnInAnotherProcess, nil},
		{"IsStableWhileOthersWrite", scanIsStableWhileOthersWrite, nil},
		{"RefusesACursorThatIsNone", scanRefusesACursorThatIsNone, nil},
	}
}

// population stores sessions of several users and returns them.
func (r *rig) population(users, each int) (all []perdure.Record) {
	r.t.Helper()
	for range users {
		all = append(all, r.sessions(r.user(), each)...)
	}
	return all
}

func scanShowsEachRecord(r *rig) {
	all := r.population(8, 12)
	for _, limit := range []int{1, 5, 95, 96, 1000} {
		r.wantSame("a scan", r.scan(r.b, perdure.ScanQuery{Limit: limit}), all)
	}
}

func scanShowsTheDeadWhenAsked(r *rig) {
	live := r.population(3, 4)
	dead := r.population(3, 3)
	for i, session := range dead {
		v := r.version()
		r.applied(remove(session.ID, v, perdure.ReasonLogout))
		dead[i] = buried(session, v, perdure.ReasonLogout)
	}
	w := r.plant(r.id(r.user()))
	r.do(w)
	dead = append(dead, w.Record)
	for range 3 {
		dead = append(dead, r.create(r.epoch(r.user(), r.version())))
	}
	for _, limit := range []int{1, 4, 100} {
		r.wantSame("a scan of the living", r.scan(r.b, perdure.ScanQuery{Limit: limit}), live)
		r.wantSame("a scan of all", r.scan(r.b, perdure.ScanQuery{Limit: limit, Dead: true}), append(dead, live...))
	}
}

func scanKeepsToItsPartitions(r *rig) {
	all := r.population(10, 5)
	for range 3 {
		all = append(all, r.create(r.epoch(r.user(), r.version())))
	}
	bounds := []int{0, 1, 37, 128, 250, 256}
	var got []perdure.Record
	for i, to := range bounds[1:] {
		from := bounds[i]
		part := r.scan(r.b, perdure.ScanQuery{Limit: 3, From: from, To: to, Dead: true})
		for _, record := range part {
			if p := perdure.PartitionOf(record.ID); p < from || p >= to {
				r.t.Fatalf("a scan from %d to %d shows %s, of partition %d", from, to, show(record), p)
			}
		}
		got = append(got, part...)
	}
	r.wantSame("the scans of all partitions", got, all)
	one := all[0]
	p := perdure.PartitionOf(one.ID)
	var want []perdure.Record
	for _, record := range all {
		if perdure.PartitionOf(record.ID) == p {
			want = append(want, record)
		}
	}
	r.wantSame("a scan of one partition", r.scan(r.b, perdure.ScanQuery{Limit: 2, From: p, To: p + 1, Dead: true}), want)
}

func scanKeepsItsPagesShort(r *rig) {
	all := r.population(10, 30)
	const limit = 10
	r.pages(func(after string) (perdure.Page, error) {
		return r.b.Scan(r.ctx, perdure.ScanQuery{After: after, Limit: limit})
	}, func(page perdure.Page) {
		if len(page.Records) > len(all)/2 {
			r.t.Fatalf("a page of about %d records has %d", limit, len(page.Records))
		}
	})
}

func scanGoesOnInAnotherProcess(r *rig) {
	all := r.population(4, 9)
	var got []perdure.Record
	turn := 0
	r.pages(func(after string) (perdure.Page, error) {
		turn++
		return r.either(turn).Scan(r.ctx, perdure.ScanQuery{After: after, Limit: 4})
	}, func(page perdure.Page) { got = append(got, page.Records...) })
	r.wantSame("a scan", got, all)
}

// scanIsStableWhileOthersWrite scans sessions that are touched and changed, but
// not in their expiry, while others come, move and go.
func scanIsStableWhileOthersWrite(r *rig) {
	u := r.user()
	traffic := newTraffic(r, u, append(r.sessions(u, 24), r.population(4, 4)...))
	for range r.size(12) {
		seen := map[string]bool{}
		r.pages(func(after string) (perdure.Page, error) {
			traffic.pass()
			return r.b.Scan(r.ctx, perdure.ScanQuery{After: after, Limit: 5})
		}, func(page perdure.Page) {
			for _, record := range page.Records {
				seen[record.ID] = true
			}
		})
		for _, session := range traffic.steady {
			if !seen[session.ID] {
				r.t.Fatalf("%s was there throughout and is not in the scan", session.ID)
			}
		}
	}
}

func scanRefusesACursorThatIsNone(r *rig) {
	r.population(2, 3)
	for _, cursor := range noCursors() {
		_, err := r.b.Scan(r.ctx, perdure.ScanQuery{After: cursor, Limit: 10})
		r.wantError("Scan after "+clip(cursor), err, perdure.ErrInvalid)
	}
}
