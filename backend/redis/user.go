package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// ListUser returns a page of the user's sessions: one round trip, and another
// where ids on it lie in other partitions than the user. One that the near cache
// holds whole costs none, and one for those of its sessions that it does not hold.
func (b *Backend) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	if err := b.link.ready(ctx); err != nil {
		return perdure.Page{}, err
	}
	from, err := parsePlace(after)
	if err != nil {
		return perdure.Page{}, err
	}
	limit = pageLimit(limit)
	home := &b.keys.partitions[user.Partition()]
	index := b.keys.index(user)
	ids, found, s := b.near.list(index)
	if found && after == "" && len(ids) <= limit {
		records, err := b.Load(ctx, ids)
		bad, err := perdure.AsUnreadable(err)
		if err != nil {
			return perdure.Page{}, err
		}
		if bad == nil && allOf(records, user) {
			return perdure.Page{Records: records}, nil
		}
		b.near.drop(index)
		_, _, s = b.near.list(index)
	}
	l, err := b.page(ctx, home, index, from, limit)
	if err != nil {
		return perdure.Page{}, err
	}
	if err := b.loadForeign(ctx, user, &l); err != nil {
		return perdure.Page{}, err
	}
	page := perdure.Page{Records: make([]perdure.Record, 0, len(l.values)), Unreadable: l.unreadable}
	for _, r := range l.values {
		if r.Kind == perdure.KindSession && r.User == user {
			page.Records = append(page.Records, r)
		}
	}
	switch {
	case l.last.member != "":
		page.Next = l.last.String()
	case after == "" && b.listed && l.tells(page.Records):
		b.near.putList(s, index, idsOf(page.Records))
	}
	return page, nil
}

// tells reports whether the sessions are all that the index names, and any at all.
func (l *listing) tells(sessions []perdure.Record) bool {
	return len(sessions) > 0 && len(sessions) == len(l.ids) && len(l.unreadable) == 0
}

// allOf reports whether all records are sessions of the user.
func allOf(records []perdure.Record, user perdure.UserKey) bool {
	return !slices.ContainsFunc(records, func(r perdure.Record) bool {
		return r.Kind != perdure.KindSession || r.User != user
	})
}

func idsOf(records []perdure.Record) []string {
	ids := make([]string, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	return ids
}

// loadForeign fills in the records of ids in other partitions than the user's.
func (b *Backend) loadForeign(ctx context.Context, user perdure.UserKey, l *listing) error {
	var keys []string
	var at []int
	for i, id := range l.ids {
		if !l.values[i].Exists() && id != "." && foreign(id, user) {
			keys, at = append(keys, b.keys.record(id)), append(at, i)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	replies, err := b.link.getMany(ctx, false, keys)
	if err != nil {
		return err
	}
	for n, i := range at {
		l.values[i], err = record(l.ids[i], replies[n])
		switch {
		case errors.Is(err, perdure.ErrFormat):
			l.unreadable = append(l.unreadable, l.ids[i])
		case err != nil:
			return err
		}
	}
	return nil
}

// RemoveUser puts the epoch and ends a page of the user's sessions: one round
// trip, and others where ids on it lie in other partitions than the user.
func (b *Backend) RemoveUser(ctx context.Context, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	if err := b.link.ready(ctx); err != nil {
		return perdure.UserRemoved{}, err
	}
	if err := r.Check(); err != nil {
		return perdure.UserRemoved{}, err
	}
	from, err := parsePlace(r.After)
	if err != nil {
		return perdure.UserRemoved{}, err
	}
	limit := pageLimit(r.Limit)
	results, err := b.link.do(ctx, b.revokeCall(&r, from, limit))
	if err != nil {
		return perdure.UserRemoved{}, err
	}
	b.wrote(&r.Epoch)
	answer, err := b.readRevoked(&r, results[0])
	if err != nil || answer.Outcome == perdure.Conflict {
		return answer.UserRemoved, err
	}
	for _, session := range answer.Removed {
		b.near.drop(session.ID)
	}
	if answer.looked == limit {
		answer.Next = answer.last.String()
	}
	err = b.endForeign(ctx, &r, &answer)
	return answer.UserRemoved, err
}

// revokeCall is a call of luaRevoke.
func (b *Backend) revokeCall(r *perdure.UserRemoval, from place, limit int) call {
	e := &r.Epoch
	partition := e.User.Partition()
	home := &b.keys.partitions[partition]
	today := b.now()
	drop := e.Horizon + b.encoder.skew
	return call{
		script: b.scripts.revoke,
		keys:   []string{home.records + e.ID, b.keys.index(e.User), home.expiry, home.tombs, b.feeds.of(partition)},
		args: append([]string{
			b.feeds.length, decimal(b.encoder.skew), decimal(today), string(e.Append(nil)), based(r.Base),
			reap(partition, drop, today), decimal(drop), string([]byte{byte(perdure.UserRevoked), byte(r.Reason)}), mark(r.Reason, e.Version),
			home.records, home.hex, from.score, from.member, strconv.Itoa(limit), room,
		}, r.Except...),
	}
}

// revoked is the reply of luaRevoke.
type revoked struct {
	perdure.UserRemoved
	looked    int
	last      place
	elsewhere []string // ids that are not in the user's partition
}

func (b *Backend) readRevoked(r *perdure.UserRemoval, result rueidis.RedisResult) (answer revoked, err error) {
	reply, err := b.link.message(result)
	if err != nil {
		return answer, err
	}
	parts, err := reply.ToArray()
	if err != nil || len(parts) < 2 {
		return answer, failure(errGarbage)
	}
	outcome, err := parts[0].ToInt64()
	if err != nil {
		return answer, failure(err)
	}
	if answer.Outcome = perdure.Outcome(outcome); answer.Outcome == perdure.Conflict {
		answer.Stored, err = record(r.Epoch.ID, parts[1])
		return answer, err
	}
	if len(parts) < 5 {
		return answer, failure(errGarbage)
	}
	looked, err := parts[2].ToInt64()
	if err != nil {
		return answer, failure(err)
	}
	answer.looked = int(looked)
	if answer.last, err = readPlace(parts[3:5]); err != nil {
		return answer, err
	}
	f, err := readRecords(parts[5:])
	for i, session := range f.values {
		if session.Exists() {
			answer.Removed = append(answer.Removed, session)
		} else {
			answer.elsewhere = append(answer.elsewhere, f.ids[i])
		}
	}
	answer.Unreadable = f.unreadable
	return answer, err
}

// endForeign ends the sessions of a removal that lie in other partitions than
// their user. Of those whose record is still to come, it leaves the tombstone.
func (b *Backend) endForeign(ctx context.Context, r *perdure.UserRemoval, answer *revoked) error {
	var batches []perdure.Batch
	var calls []call
	for _, id := range answer.elsewhere {
		if !foreign(id, r.Epoch.User) {
			calls = append(calls, b.unindexCall(id, r.Epoch.User))
			continue
		}
		tomb := perdure.Record{ID: id, Header: r.Epoch.Header}
		tomb.Kind, tomb.Reason = perdure.KindTombstone, r.Reason
		batches = append(batches, perdure.Batch{{Op: perdure.OpRemove, Record: tomb, Plant: true}})
	}
	results, err := b.Apply(ctx, batches)
	if err != nil {
		return err
	}
	for i, result := range results {
		id := batches[i][0].Record.ID
		switch {
		case errors.Is(result.Err, perdure.ErrFormat):
			answer.Unreadable = append(answer.Unreadable, id)
			continue
		case result.Err != nil:
			return result.Err
		case result.Outcome == perdure.Applied:
			answer.Removed = append(answer.Removed, result.Stored)
		}
		calls = append(calls, b.unindexCall(id, r.Epoch.User))
	}
	_, err = b.link.do(ctx, calls...)
	return err
}
