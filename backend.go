package perdure

import (
	"context"
	"time"
)

// DefaultMaxClockSkew is how far the clocks of two nodes may differ, where a
// backend's options do not say.
const DefaultMaxClockSkew = time.Minute

// Backend keeps records. It compares and sets; it does no merging, knows no
// JSON, no roles and no policy, and never decides by itself that a session is
// dead. Package backendtest checks an implementation against all that is said
// here.
//
// A backend is safe for concurrent use. Every method returns when its context
// ends; given a context without a deadline it sets one of its own (one second,
// unless its options say otherwise), except for Changes. A backend that cannot
// answer returns an ErrUnavailable, never an empty answer. A cancelled context
// is returned as context.Canceled, a passed deadline as an ErrUnavailable that
// wraps context.DeadlineExceeded.
//
// A record that it cannot read, because it is damaged or of a newer format, it
// leaves as it is. It is an ErrFormat to who asks for it or writes to it, and
// stands in nobody else's way: a call about many records names it and goes on
// with the others. It is never taken for one that is not there.
type Backend interface {
	// Get returns what is stored under the id: a session (perhaps past its
	// deadline), a tombstone, an epoch, or the zero Record. It may be answered
	// from a cache that is behind other processes by the time that an
	// invalidation takes to arrive, but never behind a call that this Backend
	// has returned from.
	Get(ctx context.Context, id string) (Record, error)

	// Load is Get of many, aligned with ids, in as few round trips as the
	// backend can. With an *UnreadableError it returns those that the error does
	// not name, and the zero Record for those it does; with an *UnansweredError too,
	// of which AsUnanswered tells the parts. Any other error means that none is
	// returned.
	Load(ctx context.Context, ids []string) ([]Record, error)

	// Apply carries out batches, each by itself, and aligns results with them.
	// The error is for a failure of the whole call; a batch's own failure is in
	// its Result.
	Apply(ctx context.Context, batches []Batch) ([]Result, error)

	// ListUser returns a page of the user's sessions, none twice, in an order of
	// the backend's choosing. A session that is there from the first page to the
	// last and whose expiry does not change is in one of them. Of unreadable
	// records a page names those that the backend knows to be the user's. It may be
	// answered from a cache, as Get; but once a put of the user's epoch has
	// returned, it lacks no session that was stored before. A page keeps within
	// MaxPageBytes. A cursor of a state of the store that is over is an
	// ErrListExpired.
	ListUser(ctx context.Context, user UserKey, after string, limit int) (Page, error)

	// RemoveUser ends a user's sessions: see UserRemoval. An epoch that cannot be
	// read is an ErrFormat, and nothing is changed.
	RemoveUser(ctx context.Context, r UserRemoval) (UserRemoved, error)

	// Scan returns a page of all records of some partitions. A record that is
	// there from the first page to the last is in at least one of them; one
	// whose expiry changes meanwhile may be in two, or, if it moves to before
	// the cursor, in none (the feed has it). That goes for the unreadable too,
	// which a page names in Unreadable. The cursor outlives this process and a
	// restart of the server; one of a state of the store that is over is an
	// ErrListExpired. A page keeps within MaxPageBytes.
	Scan(ctx context.Context, q ScanQuery) (Page, error)

	// Sweep drops what is due at now, or by the backend's own clock where that is
	// earlier: a caller whose clock is ahead ends nobody's session. That is sessions
	// past their deadline, each with one Expired change however many sweepers there
	// are, and tombstones and epochs past their horizon plus skew, silently. A
	// session that Lingers leaves its Lapse: the Expired change has the version of
	// that. What has no header that it can read stays. It handles about limit
	// records and reports how many sessions expired and whether more are due.
	Sweep(ctx context.Context, now Millis, limit int) (expired int, more bool, err error)

	// Changes returns the next stretch of the feed after the cursor (or
	// FromNow, FromOldest), waiting up to wait for one, then an empty batch.
	// Changes of one session come in the order in which they were made. Where
	// changes after the cursor have been dropped, or the store lost its data, it
	// returns an ErrFeedGap with a batch whose Next is now: an ErrFeedTrimmed where it
	// knows that they were dropped for want of room alone. A cursor that it did not
	// make is an ErrInvalid.
	Changes(ctx context.Context, after string, limit int, wait time.Duration) (ChangeBatch, error)

	// Stats counts, within a second or so of the truth.
	Stats(ctx context.Context) (Stats, error)

	// Ping returns nil when the backend can take a write now. It leaves nothing
	// behind that a session's owner could see.
	Ping(ctx context.Context) error

	// Close releases what the backend holds. Later calls return ErrClosed.
	Close() error
}

// As finds in a backend one that is a T: itself, or, where it has a method
// Unwrap() Backend, what that returns, and so on. It is to backends what
// errors.As is to errors.
func As[T any](b Backend) (found T, ok bool) {
	for b != nil {
		if found, ok = b.(T); ok {
			return found, true
		}
		wrapper, wraps := b.(interface{ Unwrap() Backend })
		if !wraps {
			break
		}
		b = wrapper.Unwrap()
	}
	return found, false
}

// Minter is implemented by a backend that minds what ids look like. Where it was
// given one that it does not want any more, it answers the put of a new session
// with a Conflict and nothing stored: mint again.
type Minter interface {
	// MintID returns a new id of the partition: that of NewID or NewOutageID.
	MintID(partition int) string
}

// PartialLister is implemented by a backend that may hold some of the sessions at a
// time at which it cannot list all of them.
type PartialLister interface {
	// ListPartial is ListUser, or Scan of all sessions where no user is given. Where
	// those would return an ErrUnavailable since sessions may be missing, it returns
	// what is there, and says so in Page.Incomplete.
	ListPartial(ctx context.Context, user UserKey, after string, limit int) (Page, error)
}

// ListPartial asks a PartialLister, or where the backend is none, as it has all or
// nothing, for the whole list.
func ListPartial(ctx context.Context, b Backend, user UserKey, after string, limit int) (Page, error) {
	lister, ok := As[PartialLister](b)
	switch {
	case ok:
		return lister.ListPartial(ctx, user, after, limit)
	case user == "":
		return b.Scan(ctx, ScanQuery{After: after, Limit: limit})
	}
	return b.ListUser(ctx, user, after, limit)
}

// Inspector is implemented by a backend that can look at how it is set up.
type Inspector interface {
	// Inspect returns the capability report: what was found, worst first.
	Inspect(ctx context.Context) ([]Finding, error)
}

// Inspect is the capability report of a backend, or of what it wraps: none where
// neither is an Inspector.
func Inspect(ctx context.Context, b Backend) ([]Finding, error) {
	inspector, ok := As[Inspector](b)
	if !ok {
		return nil, nil
	}
	return inspector.Inspect(ctx)
}

// Severity grades a Finding.
type Severity uint8

const (
	SeverityOK Severity = iota
	SeverityInfo
	SeverityWarning
	SeverityError // sessions are at risk
)

func (s Severity) String() string {
	return [...]string{"ok", "info", "warning", "error"}[min(s, SeverityError)]
}

// MarshalText is String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one line of a capability report.
type Finding struct {
	Severity Severity `json:"severity"`
	Name     string   `json:"name"`             // what was looked at: "maxmemory-policy"
	Found    string   `json:"found"`            // how it is: "allkeys-lru"
	Advice   string   `json:"advice,omitempty"` // what to do about it
}

// Op is what a Write does.
type Op uint8

const (
	// OpPut stores a whole record if what is stored has the version Base (zero:
	// if nothing is stored). The later of the two last accesses is kept. Where
	// the stored version differs: Conflict, with what is stored.
	//
	// Where no session is stored and the record is one, two more things can
	// stand in its way, and are then returned as a Conflict: the epoch of its
	// user, if the session is born before it and Write.Epoch is not its version;
	// and the tombstone of its parent, if that was ended.
	//
	// A put is announced as Created, Updated, Deleted or UserRevoked. One that keeps
	// the version of what is stored is announced as Touched if it moves the last
	// access of a session, else not at all. A tombstone that replaces another is
	// announced if that was of a rotation: nothing ends twice. One that is put, or
	// planted, where nothing is stored is announced: its session is elsewhere.
	//
	// A version further ahead of the server's clock than the skew bound is
	// refused with ErrSkew.
	OpPut Op = iota + 1
	// OpTouch moves a live session's last access up to Record.LastAccess, and
	// never back. It changes nothing else. Absent, with the tombstone if there
	// is one, where no session is stored or its deadline has come by then.
	OpTouch
	// OpRemove turns the stored session, whatever its version, into a tombstone
	// of the given version and reason: the rest of the header stays, the body
	// goes. Absent, with the tombstone if one stands already, where no session
	// is stored. With Plant, where nothing at all is stored, the given record
	// is stored as the tombstone, and the outcome is Absent too.
	OpRemove
)

// Write is one step of a Batch.
type Write struct {
	Op Op
	// Record is stored by OpPut; OpTouch reads ID and LastAccess; OpRemove reads
	// ID, Version and Reason, and stores it all if it plants it.
	Record Record
	Base   Version // OpPut: the version that must be stored
	Epoch  Version // OpPut: the epoch that the writer has taken into account
	Plant  bool    // OpRemove: leave a tombstone even for an id that is not known
	// Chosen says of a new session that OpPut stores that its id was not minted by
	// Minter.MintID or NewID: there is no other to be had.
	Chosen bool
	// Exact says of an OpPut that its caller wants nothing done unless the stored
	// version is Base: another process that has put over it must not have succeeded
	// too. A backend that cannot know that answers ErrUnavailable; one that compares
	// where all processes do need not look at it.
	Exact bool
	// Reason is announced with a session that OpPut stores.
	Reason Reason
}

// Batch is one or more writes that are applied together or not at all. A batch
// of several is of OpPut only, and all its records lie in one partition.
type Batch []Write

// Outcome is what became of a batch.
type Outcome uint8

const (
	// Applied: it was carried out.
	Applied Outcome = iota + 1
	// Absent: there was no session to touch or remove.
	Absent
	// Conflict: a put found another record in its way. Nothing was changed.
	Conflict
)

// Result is what became of a batch.
type Result struct {
	Outcome Outcome
	// Write is the index of the write that met Stored.
	Write int
	// Stored is, at a Conflict, the record that stands in the way; after an
	// OpRemove that was applied, the session that it ended; at Absent, the
	// tombstone if there is one.
	Stored Record
	// Err is why the batch was not carried out, or may not have been:
	// ErrUnavailable, ErrFull, ErrSkew, ErrFormat. Outcome is then zero.
	Err error
}

// MaxPageBytes bounds the records of a page, as EncodedSize counts them: a page ends
// before one that would take it beyond, unless it is the first. A server that bounds
// what it holds ready for a client would end the connection, and with it the calls of
// others.
const MaxPageBytes = 4 << 20

// Page is one page of a listing. It may have fewer records than were asked for and not
// be the last: see MaxPageBytes.
type Page struct {
	Records []Record
	// Unreadable are the ids of records that are stored and cannot be read. They
	// are left as they are: of Scan without Dead, those of tombstones may be among
	// them.
	Unreadable []string
	// Next is the cursor of the next page; empty at the end.
	Next string
	// Incomplete is true where sessions may be missing that other processes could
	// list: of PartialLister alone.
	Incomplete bool
}

// UserRemoval ends the stored sessions of a user, but for some, and leaves an
// epoch so that those that are not stored here die when they come.
type UserRemoval struct {
	// Epoch is put first, as by OpPut with Base. The tombstones get its Version.
	Epoch Record
	Base  Version
	// Except are the ids that stay.
	Except []string
	// Reason is that of the tombstones.
	Reason Reason
	// Limit bounds the sessions that one call looks at; After is the Next of the
	// call before, whose epoch is then the Base.
	Limit int
	After string
}

// UserRemoved is what became of a UserRemoval.
type UserRemoved struct {
	// Outcome is Applied, or Conflict with the epoch that is stored instead.
	Outcome Outcome
	Stored  Record
	// Removed are the sessions as they stood before they were ended, those past
	// their deadline among them.
	Removed []Record
	// Unreadable are the ids of the user's records that cannot be read. They were
	// left as they are, and one may be a session that lives.
	Unreadable []string
	// Next is empty when all were looked at; else call again with it.
	Next string
}

// ScanQuery says what to scan.
type ScanQuery struct {
	After string // the cursor of the page before; empty at the start
	Limit int    // records a page, about
	// From and To bound the partitions, To not included; both zero is all.
	From, To int
	// Dead scans tombstones and epochs as well as sessions.
	Dead bool
}

// Stats describes what a backend holds.
type Stats struct {
	Backend    string            `json:"backend"` // "memory", "file", "redis", …
	Sessions   int64             `json:"sessions"`
	Tombstones int64             `json:"tombstones"`         // and epochs
	Bytes      int64             `json:"bytes"`              // memory used, as the backend accounts for it
	MaxBytes   int64             `json:"maxBytes,omitempty"` // its bound; 0 is none
	FeedLength int64             `json:"feedLength"`         // changes that can still be read, at least
	Details    map[string]string `json:"details,omitempty"`  // what else this backend has to say
}
