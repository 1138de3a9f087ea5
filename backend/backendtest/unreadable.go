package backendtest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/perdure/perdure"
)

func unreadableLaws() []law {
	return []law{
		{"HoldsUpNoScan", unreadableHoldsUpNoScan, needsOverwrite},
		{"HoldsUpNoList", unreadableHoldsUpNoList, needsOverwrite},
		{"HoldsUpNoLoad", unreadableHoldsUpNoLoad, needsOverwrite},
		{"HoldsUpNoRevocation", unreadableHoldsUpNoRevocation, needsOverwrite},
		{"IsNotSwept", unreadableIsNotSwept, needsOverwrite},
	}
}

// damages are what can become of the bytes of a record, so that nobody can read
// them.
func damages(stored string) []string {
	const format, kind, lengthOfParent = 0, 1, 79
	at := func(i int, b byte) string { return stored[:i] + string([]byte{b}) + stored[i+1:] }
	return []string{
		at(format, 255), at(format, 0), at(kind, 0), at(kind, 9), stored[:10], // no header
		at(lengthOfParent, 255), stored[:lengthOfParent], "",
	}
}

// noHeader is how many of damages leave no header.
const noHeader = 5

// spoil damages the records, each in a way of its own, until both backends cannot
// read them. It returns their ids.
func (r *rig) spoil(records ...perdure.Record) (ids []string) {
	r.t.Helper()
	for i := range records {
		record := &records[i]
		record.Parent, record.Body = "", "b"
		ways := damages(string(record.Append(nil)))
		r.cfg.Overwrite(r.test, r.opts, record.ID, ways[i%len(ways)])
		ids = append(ids, record.ID)
	}
	r.stays(ids...)
	return ids
}

// stays fails unless none of the records can be read.
func (r *rig) stays(ids ...string) {
	r.t.Helper()
	r.eventually(func() error {
		for _, id := range ids {
			for i := range 2 {
				if _, err := r.either(i).Get(r.ctx, id); !errors.Is(err, perdure.ErrFormat) {
					return fmt.Errorf("Get of the unreadable %s returned the error %v, want ErrFormat", id, err)
				}
			}
		}
		return nil
	})
}

// wantNamed fails unless got has each of must once, and else only some of may.
func (r *rig) wantNamed(what string, got, must, may []string) {
	r.t.Helper()
	seen := map[string]bool{}
	for _, id := range got {
		if seen[id] || !slices.Contains(must, id) && !slices.Contains(may, id) {
			r.t.Fatalf("%s: %s is named twice, or can be read", what, id)
		}
		seen[id] = true
	}
	for _, id := range must {
		if !seen[id] {
			r.t.Fatalf("%s: the unreadable %s is not named", what, id)
		}
	}
}

func unreadableHoldsUpNoScan(r *rig) {
	all := r.population(3, 10)
	tomb := buried(all[0], r.version(), perdure.ReasonLogout)
	r.applied(remove(tomb.ID, tomb.Version, tomb.Reason))
	kept := buried(all[1], r.version(), perdure.ReasonLogout)
	r.applied(remove(kept.ID, kept.Version, kept.Reason))
	dead := r.spoil(tomb, r.create(r.epoch(r.user(), r.version())))
	lost := r.spoil(all[2:12]...)
	left := all[12:]
	scan := func(q perdure.ScanQuery, want []perdure.Record, must, may []string) {
		r.t.Helper()
		var got []perdure.Record
		var named []string
		r.pages(func(after string) (perdure.Page, error) {
			q.After = after
			return r.b.Scan(r.ctx, q)
		}, func(page perdure.Page) {
			got, named = append(got, page.Records...), append(named, page.Unreadable...)
		})
		r.wantSame("a scan of a damaged store", got, want)
		r.wantNamed("a scan of a damaged store", named, must, may)
	}
	for _, limit := range []int{1, 3, 12, 1000} {
		scan(perdure.ScanQuery{Limit: limit}, left, lost, dead)
		scan(perdure.ScanQuery{Limit: limit, Dead: true}, append([]perdure.Record{kept}, left...), append(dead, lost...), nil)
	}
}

func unreadableHoldsUpNoList(r *rig) {
	u := r.user()
	all := r.sessions(u, 20)
	lost := r.spoil(all[:16]...) // native and foreign ids, each in every way
	for _, limit := range []int{1, 3, 9, 1000} {
		var got []perdure.Record
		var named []string
		r.pages(func(after string) (perdure.Page, error) {
			return r.b.ListUser(r.ctx, u, after, limit)
		}, func(page perdure.Page) {
			got, named = append(got, page.Records...), append(named, page.Unreadable...)
		})
		r.wantSame("a list of a damaged store", got, all[16:])
		r.wantNamed("a list of a damaged store", named, nil, lost)
	}
}

func unreadableHoldsUpNoLoad(r *rig) {
	all := r.population(1, 12)
	lost := r.spoil(all[3:12]...)
	absent := perdure.NewID(7)
	ids := append([]string{all[0].ID, absent, all[1].ID}, lost...)
	ids = append(ids, all[2].ID, all[0].ID)
	for i := range 2 {
		got, err := r.either(i).Load(r.ctx, ids)
		bad, ok := errors.AsType[*perdure.UnreadableError](err)
		if !ok || !errors.Is(err, perdure.ErrFormat) {
			r.t.Fatalf("Load of damaged records returned the error %v, want an *UnreadableError", err)
		}
		r.wantNamed("a load", bad.IDs, lost, nil)
		want := make([]perdure.Record, len(ids))
		want[0], want[2], want[len(ids)-2], want[len(ids)-1] = all[0], all[1], all[2], all[0]
		if !slices.Equal(got, want) {
			r.t.Fatalf("a load among damaged records returned %v, want %v", got, want)
		}
		got, err = r.either(i).Load(r.ctx, []string{all[1].ID, absent})
		r.noError(err)
		if len(got) != 2 || got[0] != all[1] || got[1].Exists() {
			r.t.Fatalf("a load beside damaged records returned %v", got)
		}
	}
}

func unreadableHoldsUpNoRevocation(r *rig) {
	u := r.user()
	all := r.sessions(u, 20)
	lost := r.spoil(all[:16]...)
	q := r.removal(u, perdure.Version{})
	q.Limit = 3
	var removed []perdure.Record
	var named []string
	r.pages(func(after string) (perdure.Page, error) {
		if q.After = after; after != "" {
			q.Base = q.Epoch.Version
		}
		got, err := r.a.RemoveUser(r.ctx, q)
		return perdure.Page{Records: got.Removed, Unreadable: got.Unreadable, Next: got.Next}, err
	}, func(page perdure.Page) {
		removed, named = append(removed, page.Records...), append(named, page.Unreadable...)
	})
	r.wantSame("what was removed", removed, all[16:])
	r.wantNamed("a revocation", named, nil, lost)
	r.ended(q, all[16:])
	r.stays(lost...)
}

// unreadableIsNotSwept is about records whose header means nothing: one that is
// whole says when a record is due, whatever has become of the rest.
func unreadableIsNotSwept(r *rig) {
	r = r.longAgo()
	all := r.population(2, 10)
	lost := r.spoil(all[:noHeader]...)
	if n := r.drain(r.a, r.in(2*hour), 4); n != len(all)-len(lost) {
		r.t.Fatalf("a sweep among damaged records announced %d, want %d", n, len(all)-len(lost))
	}
	r.stays(lost...)
}
