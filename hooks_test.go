package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// onlooker is a Policy, an Auditor and a Recorder in one.
type onlooker struct {
	mu       sync.Mutex
	deny     perdure.Action
	asked    []string
	events   []perdure.Event
	observed []string
}

func (o *onlooker) Allow(_ context.Context, action perdure.Action, target perdure.Target) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, string(action)+" of "+target.UserID)
	if action == o.deny {
		return fmt.Errorf("%w: %s", perdure.ErrDenied, action)
	}
	return nil
}

func (o *onlooker) Audit(_ context.Context, e perdure.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

func (o *onlooker) Observe(action perdure.Action, took time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.observed = append(o.observed, string(action))
}

// everyCall calls every method that a Policy is asked about.
func everyCall(ctx context.Context, store *perdure.Store, id string) map[perdure.Action]error {
	errs := map[perdure.Action]error{}
	_, errs[perdure.ActionCreate] = store.Create(ctx, perdure.Data{UserID: "u", Metadata: map[string]any{"secret": "hush"}})
	_, errs[perdure.ActionGet] = store.Get(ctx, id)
	_, errs[perdure.ActionExists] = store.Exists(ctx, id)
	_, errs[perdure.ActionUpdate] = store.Update(ctx, id, perdure.Patch{Metadata: map[string]any{"secret": "hush"}})
	_, errs[perdure.ActionTouch] = store.Touch(ctx, id)
	_, errs[perdure.ActionList] = store.GetByUserID(ctx, "u")
	rotated, err := store.Rotate(ctx, id, 0)
	if errs[perdure.ActionRotate] = err; err == nil {
		id = rotated.ID
	}
	_, errs[perdure.ActionDelete] = store.Delete(ctx, id)
	_, errs[perdure.ActionRevokeUser] = store.RevokeUser(ctx, "u")
	return errs
}

func TestPolicyIsAskedAboutEveryAction(t *testing.T) {
	var actions []perdure.Action
	for action := range everyCall(t.Context(), mustStore(t, &onlooker{}), perdure.NewID(0)) {
		actions = append(actions, action)
	}
	for _, deny := range actions {
		o := &onlooker{}
		store := mustStore(t, o)
		session := mustCreate(t, store, perdure.Data{UserID: "u"})
		o.deny = deny
		for action, err := range everyCall(t.Context(), store, session.ID) {
			if denied := errors.Is(err, perdure.ErrDenied); denied != (action == deny) {
				t.Errorf("with %s denied, %s returned %v", deny, action, err)
			}
		}
		if !slices.Contains(o.asked, string(deny)+" of u") {
			t.Errorf("%s was not asked about with its user: %q", deny, o.asked)
		}
	}
}

func mustStore(t *testing.T, o *onlooker) *perdure.Store {
	store, _ := newStore(t, perdure.Options{Policy: o, Auditor: o, Recorder: o})
	return store
}

func TestAuditorAndRecorderSeeEveryCallAndNoPayload(t *testing.T) {
	o := &onlooker{}
	store := mustStore(t, o)
	session := mustCreate(t, store, perdure.Data{UserID: "u", Metadata: map[string]any{"secret": "hush"}})
	everyCall(t.Context(), store, session.ID)
	if _, err := store.Get(t.Context(), session.ID); !errors.Is(err, perdure.ErrNotFound) {
		t.Fatal(err)
	}
	var audited []string
	for _, e := range o.events {
		audited = append(audited, string(e.Action))
		if s := fmt.Sprintf("%+v", e); strings.Contains(s, "hush") {
			t.Errorf("an audit event shows a payload: %s", s)
		}
		if e.At.IsZero() || e.Err == nil && e.Action != perdure.ActionList && e.Action != perdure.ActionRevokeUser && e.SessionID == "" {
			t.Errorf("an event without its time or its session: %+v", e)
		}
	}
	want := []string{"create", "create", "get", "exists", "update", "touch", "list", "rotate", "delete", "revoke_user", "get"}
	if !slices.Equal(audited, want) || !slices.Equal(o.observed, want) {
		t.Errorf("audited %q, observed %q", audited, o.observed)
	}
	if last := o.events[len(o.events)-1]; !errors.Is(last.Err, perdure.ErrNotFound) || last.Count != 0 {
		t.Errorf("the failed call was audited as %+v", last)
	}
	if revoked := o.events[len(o.events)-2]; revoked.Count != 1 || revoked.UserID != "u" || revoked.Reason != perdure.ReasonUserRevoked {
		t.Errorf("the revocation was audited as %+v", revoked)
	}
}
