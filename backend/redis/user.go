package redis

import (
	"context"
	"strconv"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// ListUser returns a page of the user's sessions: one round trip, and another
// where ids on it lie in other partitions than the user.
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
	l, err := b.page(ctx, home, home.users+string(user), from, limit)
	if err != nil {
		return perdure.Page{}, err
	}
	if err := b.loadForeign(ctx, user, &l); err != nil {
		return perdure.Page{}, err
	}
	page := perdure.Page{Records: make([]perdure.Record, 0, len(l.values))}
	for _, r := range l.values {
		if r.Kind == perdure.KindSession && r.User == user {
			page.Records = append(page.Records, r)
		}
	}
	if l.looked == limit {
		page.Next = l.last.String()
	}
	return page, nil
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
		if l.values[i], err = record(l.ids[i], replies[n]); err != nil {
			return err
		}
	}
	return nil
}

// RemoveUser puts the epoch and ends a page of the user's sessions: one round
// trip, and others where ids on it lie in other partitions than the user. A
// record that cannot be read is left, and reported when the others have ended.
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
	b.near.drop(r.Epoch.ID)
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
	if err := b.endForeign(ctx, &r, &answer); err != nil {
		return answer.UserRemoved, err
	}
	if answer.unreadable > 0 {
		err = refusal("PERDUREFORMAT")
	}
	return answer.UserRemoved, err
}

// revokeCall is a call of luaRevoke.
func (b *Backend) revokeCall(r *perdure.UserRemoval, from place, limit int) call {
	e := &r.Epoch
	partition := e.User.Partition()
	home := &b.keys.partitions[partition]
	today := now()
	drop := e.Horizon + b.encoder.skew
	return call{
		script: b.scripts.revoke,
		keys:   []string{home.records + e.ID, home.users + string(e.User), home.expiry, home.tombs, b.feeds.of(partition)},
		args: append([]string{
			b.feeds.length, decimal(b.encoder.skew), decimal(today), string(e.Append(nil)), based(r.Base),
			reap(partition, drop, today), decimal(drop), string([]byte{byte(perdure.UserRevoked), byte(r.Reason)}), mark(r.Reason, e.Version),
			home.records, home.hex, from.score, from.member, strconv.Itoa(limit),
		}, r.Except...),
	}
}

// revoked is the reply of luaRevoke.
type revoked struct {
	perdure.UserRemoved
	looked     int
	last       place
	unreadable int
	elsewhere  []string // ids that are not in the user's partition
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
	if len(parts) < 6 {
		return answer, failure(errGarbage)
	}
	for at, number := range map[int]*int{2: &answer.looked, 5: &answer.unreadable} {
		n, err := parts[at].ToInt64()
		if err != nil {
			return answer, failure(err)
		}
		*number = int(n)
	}
	if answer.last, err = readPlace(parts[3:5]); err != nil {
		return answer, err
	}
	ids, records, err := readRecords(parts[6:])
	for i, session := range records {
		if session.Exists() {
			answer.Removed = append(answer.Removed, session)
		} else {
			answer.elsewhere = append(answer.elsewhere, ids[i])
		}
	}
	return answer, err
}

// endForeign ends the sessions of a removal that lie in other partitions than
// their user. Of those whose record is still to come, it leaves the tombstone.
func (b *Backend) endForeign(ctx context.Context, r *perdure.UserRemoval, answer *revoked) error {
	var batches []perdure.Batch
	var calls []call
	for _, id := range answer.elsewhere {
		if foreign(id, r.Epoch.User) {
			tomb := perdure.Record{ID: id, Header: r.Epoch.Header}
			tomb.Kind, tomb.Reason = perdure.KindTombstone, r.Reason
			batches = append(batches, perdure.Batch{{Op: perdure.OpRemove, Record: tomb, Plant: true}})
		}
		calls = append(calls, b.unindexCall(id, r.Epoch.User))
	}
	if len(calls) == 0 {
		return nil
	}
	results, err := b.Apply(ctx, batches)
	if err != nil {
		return err
	}
	for _, result := range results {
		if result.Err != nil {
			return result.Err
		}
		if result.Outcome == perdure.Applied {
			answer.Removed = append(answer.Removed, result.Stored)
		}
	}
	_, err = b.link.do(ctx, calls...)
	return err
}
