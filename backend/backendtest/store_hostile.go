package backendtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// userIDsAreOpaque: whatever a user id looks like to a key pattern, it is one
// user and no other.
func userIDsAreOpaque(r *rig) {
	s := r.stores(perdure.Options{})
	hostile := []string{
		"a", "a:b", "a:", ":a", "*", "a*", "?", "[a-z]", "{", "}", "{a}", "{0}:s:x", "a b", " ", "%s", "'; --", "../a", "a\\n",
		"\U0001F511", "\U0001F511\U0001F5DD", strings.Repeat("\U00010348", 64), strings.Repeat("x", 256), "é", "e\u0301", "\u202ea",
	}
	owner := map[string]string{}
	for i, userID := range hostile {
		session, err := s.store(i).Create(r.ctx, perdure.Data{UserID: userID})
		r.noError(err)
		owner[userID] = session.ID
	}
	for _, userID := range hostile {
		s.owned(userID, owner[userID])
	}
	for i, userID := range hostile {
		n, err := s.store(i).RevokeUser(r.ctx, userID)
		r.noError(err)
		if n != 1 {
			r.t.Fatalf("RevokeUser of %q ended %d sessions, want 1", userID, n)
		}
		s.owned(userID)
		for _, other := range hostile[i+1:] {
			if _, err := s.one.Get(r.ctx, owner[other]); err != nil {
				r.t.Fatalf("after RevokeUser of %q the session of %q is gone: %v", userID, other, err)
			}
		}
	}
}

// hostileInputIsRefused: what is no user id and no session id is an ErrInvalid
// and reaches no backend.
func hostileInputIsRefused(r *rig) {
	s := r.stores(perdure.Options{})
	for _, userID := range []string{"", "a\nb", "a\r\nDEL x", "\x00", "a\x7f", "\xff\xfe", strings.Repeat("x", 257), strings.Repeat("x", 1<<20)} {
		_, err := s.one.Create(r.ctx, perdure.Data{UserID: userID})
		r.wantError(fmt.Sprintf("Create for the user id %q", clip(userID)), err, perdure.ErrInvalid)
		_, err = s.one.RevokeUser(r.ctx, userID)
		r.wantError(fmt.Sprintf("RevokeUser of %q", clip(userID)), err, perdure.ErrInvalid)
	}
	for _, id := range []string{
		"short", "exactly15bytes_", strings.Repeat("x", 129), strings.Repeat("x", 1<<20), "sixteen:bytes:id", "sixteen*bytes*id",
		"sixteen{bytes}id", "sixteen\nbytes\nid", "sixteen\x00bytes\x00id", "sixteen bytes id", "\U0001F511\U0001F511\U0001F511\U0001F511", perdure.EpochID(r.user()),
	} {
		_, err := s.one.Create(r.ctx, perdure.Data{ID: id, UserID: "u1"})
		r.wantError(fmt.Sprintf("Create with the id %q", clip(id)), err, perdure.ErrInvalid)
		_, err = s.one.Get(r.ctx, id)
		r.wantError(fmt.Sprintf("Get of %q", clip(id)), err, perdure.ErrInvalid)
		_, err = s.one.Touch(r.ctx, id)
		r.wantError(fmt.Sprintf("Touch of %q", clip(id)), err, perdure.ErrInvalid)
		_, err = s.one.Delete(r.ctx, id)
		r.wantError(fmt.Sprintf("Delete of %q", clip(id)), err, perdure.ErrInvalid)
	}
	for _, late := range []perdure.Data{{UserID: "u1", TTL: -1}, {UserID: "u1", ExpiresAt: r.wall.read().Add(-1)}, {UserID: "u1", ExpiresAt: time.Unix(0, 0)}} {
		_, err := s.one.Create(r.ctx, late)
		r.wantError("Create with an expiry in the past", err, perdure.ErrInvalid)
	}
	for _, cursor := range noCursors() {
		_, err := s.one.List(r.ctx, perdure.ListQuery{PageToken: cursor})
		r.wantError("List after "+clip(cursor), err, perdure.ErrInvalid)
	}
	r.wantSame("a scan", r.scan(r.b, perdure.ScanQuery{Limit: 10, Dead: true}), nil)
}

// foreignIDsAreIDs: sessions that keep the ids of another system are as good as
// those minted here.
func foreignIDsAreIDs(r *rig) {
	s := r.stores(perdure.Options{})
	user := perdure.HashUser("u1")
	var alive []string
	for _, id := range []string{
		r.made.foreign(user, 16), r.made.foreign(user, 128), r.made.foreign(user, 36), "4f9c2c1e-8a4e-4c0a-9c1e-" + r.made.foreign(user, 36),
	} {
		session := s.login(perdure.Data{ID: id, UserID: "u1"})
		_, err := s.two.Create(r.ctx, perdure.Data{ID: id, UserID: "u2"})
		r.wantError("Create with an id that is taken", err, perdure.ErrExists)
		name := "name"
		_, err = s.two.Update(r.ctx, id, perdure.Patch{Username: &name})
		r.noError(err)
		s.owned("u1", append(alive, session.ID)...)
		next, err := s.one.Rotate(r.ctx, id, 0)
		r.noError(err)
		if next.Username != name {
			r.t.Fatalf("a rotation lost an update: %+v", next)
		}
		alive = append(alive, next.ID)
		s.owned("u1", alive...)
	}
	if ok, err := s.two.Delete(r.ctx, alive[0]); !ok || err != nil {
		r.t.Fatalf("Delete returned %v and the error %v", ok, err)
	}
	s.gone(alive[0])
	if n, err := s.one.RevokeUser(r.ctx, "u1", alive[1]); n != 2 || err != nil {
		r.t.Fatalf("RevokeUser ended %d sessions with the error %v, want 2", n, err)
	}
	s.owned("u1", alive[1])
	s.owned("u2")
}
