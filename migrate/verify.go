package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

// VerifyOptions say how to compare two stores. The zero value works.
type VerifyOptions struct {
	Reading
	// Tolerance is how far expiry, last access and horizon may be off. Defaults to
	// none.
	Tolerance time.Duration
	// OneWay looks for what the source holds in the target, and lets the target
	// hold more. Defaults to both directions.
	OneWay bool
	// SkipIndex does not ask the target for the sessions of each user, which
	// takes longer than all the rest. Defaults to asking.
	SkipIndex bool
}

// Verify compares what the source and the target hold. While either is written
// to, sessions that have just changed may differ.
//
// It returns an ErrDiffers where it found differences, a perdure.ErrInvalid for a
// wrong option, or what ended it early; the report is of what was looked at.
func Verify(ctx context.Context, from Source, to perdure.Backend, o VerifyOptions) (Report, error) {
	if err := o.Reading.check(); err != nil {
		return Report{}, err
	}
	if o.Tolerance < 0 {
		return Report{}, invalid("Tolerance", "is %v; it must not be negative", o.Tolerance)
	}
	began := time.Now()
	v := newComparison(from, to, o)
	v.tell = o.report(func() Result { return Result{} })
	err := v.run(ctx)
	v.tell.end()
	report := v.found.report
	report.Duration = time.Since(began)
	if err == nil && !report.OK() {
		err = ErrDiffers
	}
	return report, err
}

// comparison is a Verify under way.
type comparison struct {
	VerifyOptions
	from   Source
	to     perdure.Backend
	filter matcher
	found  *findings
	tell   *reporter
	// differs is told of every difference. Defaults to found.
	differs func(Difference)
	// refused is told of what the source cannot read. Defaults to counting it.
	refused func([]Failure)
}

func newComparison(from Source, to perdure.Backend, o VerifyOptions) *comparison {
	o.goBy(to)
	v := &comparison{VerifyOptions: o, from: from, to: to, filter: o.Filter.matcher(), found: newFindings(o.MaxErrors)}
	v.differs = v.found.differ
	v.refused = func(failures []Failure) {
		v.found.add(func(r *Report) { r.Refused += int64(len(failures)) })
	}
	return v
}

func (v *comparison) run(ctx context.Context) error {
	if err := v.pass(ctx, v.from, v.forward); err != nil {
		return fmt.Errorf("verifying: %w", err)
	}
	if v.OneWay {
		return nil
	}
	if err := v.pass(ctx, FromBackend(v.to), v.backward); err != nil {
		return fmt.Errorf("verifying the target: %w", err)
	}
	return nil
}

// pass looks at all pages of a source.
func (v *comparison) pass(ctx context.Context, from Source, look func(context.Context, []perdure.Record) error) error {
	var parts int
	var count int64
	err := v.patiently(ctx, v.tell, func(ctx context.Context) (err error) {
		if parts, err = from.Parts(ctx); err == nil {
			count, err = from.Count(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	v.tell.phase(PhaseVerify, count)
	return forEach(ctx, v.Workers, parts, func(ctx context.Context, part int) error {
		for cursor, done := "", false; !done; done = cursor == "" {
			var page Page
			err := v.patiently(ctx, v.tell, func(ctx context.Context) (err error) {
				page, err = from.Read(ctx, part, cursor, v.BatchSize)
				return err
			})
			if err != nil {
				return err
			}
			v.refused(page.Refused)
			if err := look(ctx, v.choose(page.Records)); err != nil {
				return err
			}
			v.tell.add(sessions(page.Records))
			cursor = page.Next
		}
		return nil
	})
}

func sessions(records []perdure.Record) (n int) {
	for i := range records {
		if records[i].Kind == perdure.KindSession {
			n++
		}
	}
	return n
}

func (v *comparison) choose(records []perdure.Record) (chosen []perdure.Record) {
	for i := range records {
		if records[i].Exists() && v.filter.takes(&records[i]) {
			chosen = append(chosen, records[i])
		}
	}
	return chosen
}

// forward looks for records of the source in the target.
func (v *comparison) forward(ctx context.Context, records []perdure.Record) error {
	held, err := v.load(ctx, v.to, records)
	if err != nil {
		return err
	}
	now := perdure.MillisOf(v.Now())
	var listed []perdure.Record
	for i := range records {
		r := &records[i]
		session := r.Live(now)
		v.found.add(func(report *Report) {
			if session {
				report.Checked++
			} else if r.Kind != perdure.KindSession {
				report.Tombstones++
			}
		})
		if kind, detail := compare(r, &held[i], now, perdure.Millis(v.Tolerance.Milliseconds())); kind != "" {
			v.differs(Difference{r.ID, kind, detail})
		} else if session && r.User != "" {
			listed = append(listed, *r)
		}
	}
	if v.SkipIndex {
		return nil
	}
	return v.index(ctx, listed)
}

// backward looks for sessions of the target in the source.
func (v *comparison) backward(ctx context.Context, records []perdure.Record) error {
	now := perdure.MillisOf(v.Now())
	var live []perdure.Record
	for i := range records {
		if records[i].Live(now) {
			live = append(live, records[i])
		}
	}
	v.found.add(func(r *Report) { r.Reverse += int64(len(live)) })
	there, err := v.load(ctx, v.from, live)
	if err != nil {
		return err
	}
	for i := range live {
		// One that is a tombstone there was found from that side.
		if r := &there[i]; !r.Exists() || r.Kind == perdure.KindSession && !r.Live(now) {
			v.differs(Difference{live[i].ID, Extra, ""})
		}
	}
	return nil
}

type loader interface {
	Load(ctx context.Context, ids []string) ([]perdure.Record, error)
}

// load is what is stored under the ids of records. What cannot be read there is
// counted as refused, and is not held against them otherwise.
func (v *comparison) load(ctx context.Context, from loader, records []perdure.Record) (held []perdure.Record, err error) {
	ids := make([]string, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	err = v.patiently(ctx, v.tell, func(ctx context.Context) (err error) {
		held, err = from.Load(ctx, ids)
		return err
	})
	bad, err := perdure.AsUnreadable(err)
	if err != nil || bad == nil {
		return held, err
	}
	unreadable := bad.Set()
	for i, id := range ids {
		if unreadable[id] {
			v.refused([]Failure{unread(id)})
			held[i] = records[i]
		}
	}
	return held, nil
}

// askers is how many users are asked for at the same time, a worker.
const askers = 32

// index looks for sessions in the target's lists of their users' sessions.
func (v *comparison) index(ctx context.Context, live []perdure.Record) error {
	byUser := map[perdure.UserKey]map[string]bool{}
	var users []perdure.UserKey
	for i := range live {
		user := live[i].User
		if byUser[user] == nil {
			byUser[user], users = map[string]bool{}, append(users, user)
		}
		byUser[user][live[i].ID] = true
	}
	return forEach(ctx, askers, len(users), func(ctx context.Context, i int) error {
		return v.list(ctx, users[i], byUser[users[i]])
	})
}

// list looks for sessions of one user.
func (v *comparison) list(ctx context.Context, user perdure.UserKey, ids map[string]bool) error {
	for after, done := "", false; !done && len(ids) > 0; done = after == "" {
		var page perdure.Page
		err := v.patiently(ctx, v.tell, func(ctx context.Context) (err error) {
			page, err = v.to.ListUser(ctx, user, after, v.BatchSize)
			if errors.Is(err, perdure.ErrListExpired) && after != "" { // a daemon in an outage: it begins anew
				page, err = v.to.ListUser(ctx, user, "", v.BatchSize)
			}
			return err
		})
		if err != nil {
			return err
		}
		for i := range page.Records {
			delete(ids, page.Records[i].ID)
		}
		after = page.Next
	}
	for id := range ids {
		v.differs(Difference{id, Index, ""})
	}
	return nil
}
