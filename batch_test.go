package perdure

import (
	"errors"
	"strings"
	"testing"
)

// What breaks the contract of Apply is refused with the name of what is wrong, and
// nothing else is.
func TestCheckOfBatches(t *testing.T) {
	user := HashUser("u")
	record := func(change func(*Record)) Write {
		r := Record{ID: NewID(3), Header: Header{Kind: KindSession, User: user, Expiry: 1, Horizon: MaxMillis}}
		change(&r)
		return Write{Op: OpPut, Record: r}
	}
	plain := record(func(*Record) {})
	long := strings.Repeat("x", MaxIDLen+1)
	for name, c := range map[string]struct {
		batch Batch
		field string // empty where it is allowed
	}{
		"a put":                     {Batch{plain}, ""},
		"puts of one partition":     {Batch{plain, plain}, ""},
		"the longest id":            {Batch{record(func(r *Record) { r.ID = long[1:] })}, ""},
		"no user":                   {Batch{record(func(r *Record) { r.User = "" })}, ""},
		"a touch":                   {Batch{{Op: OpTouch, Record: Record{ID: "any"}}}, ""},
		"an epoch":                  {Batch{record(func(r *Record) { r.Kind, r.ID = KindEpoch, EpochID(user) })}, ""},
		"a plant":                   {Batch{{Op: OpRemove, Plant: true, Record: Record{ID: "any"}}}, ""},
		"nothing":                   {Batch{}, "batch"},
		"an unknown operation":      {Batch{{Op: OpRemove + 1, Record: plain.Record}}, "batch"},
		"no operation":              {Batch{{Record: plain.Record}}, "batch"},
		"a touch among puts":        {Batch{plain, {Op: OpTouch, Record: plain.Record}}, "batch"},
		"two partitions":            {Batch{plain, record(func(r *Record) { r.ID = NewID(4) })}, "batch"},
		"no kind":                   {Batch{record(func(r *Record) { r.Kind = 0 })}, "record.kind"},
		"an unknown kind":           {Batch{record(func(r *Record) { r.Kind = KindEpoch + 1 })}, "record.kind"},
		"no id":                     {Batch{record(func(r *Record) { r.ID = "" })}, "record.id"},
		"a long id":                 {Batch{record(func(r *Record) { r.ID = long })}, "record.id"},
		"a long parent":             {Batch{record(func(r *Record) { r.Parent = long })}, "record.parent"},
		"half a user key":           {Batch{record(func(r *Record) { r.User = user[1:] })}, "record.user"},
		"an epoch of somebody else": {Batch{record(func(r *Record) { r.Kind, r.ID = KindEpoch, EpochID(HashUser("v")) })}, "record.id"},
		"a time before 1970":        {Batch{record(func(r *Record) { r.Idle = -1 })}, "record"},
		"a time of 49 bits":         {Batch{record(func(r *Record) { r.LastAccess = MaxMillis + 1 })}, "record"},
		"a plant of a long id":      {Batch{{Op: OpRemove, Plant: true, Record: Record{ID: long}}}, "record.id"},
	} {
		var invalid *InvalidError
		switch err := c.batch.Check(); {
		case c.field == "" && err != nil:
			t.Errorf("%s is refused: %v", name, err)
		case c.field != "" && (!errors.As(err, &invalid) || invalid.Field != c.field):
			t.Errorf("%s: %v; want an error of %s", name, err, c.field)
		}
	}
	removal := UserRemoval{Epoch: plain.Record}
	if err := removal.Check(); !errors.Is(err, ErrInvalid) {
		t.Errorf("a removal whose epoch is a session: %v", err)
	}
	removal.Epoch.Kind, removal.Epoch.ID = KindEpoch, EpochID(user)
	if err := removal.Check(); err != nil {
		t.Errorf("a removal: %v", err)
	}
}
