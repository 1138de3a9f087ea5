package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"filippo.io/age"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/printable"
)

// Format is a kind of file that Backup writes.
type Format string

const (
	// FormatArchive is the archive: compressed, checked, exact.
	FormatArchive Format = "archive"
	// FormatLines is JSON lines, for people and other tools. It has no checksums:
	// a file that was cut between two lines looks whole.
	FormatLines Format = "jsonl"
)

// BackupOptions say what Backup takes and how it writes it. The zero value works.
type BackupOptions struct {
	// Format defaults to FormatArchive.
	Format Format
	// Source is the address of the store, without secrets, for who looks into the
	// archive later. Defaults to none.
	Source string
	// Expired takes expired sessions too, as far as they have not been swept yet.
	// Defaults to leaving them out.
	Expired bool
	// Recipients are those who can read the file: it is then an age file. Defaults
	// to no encryption.
	Recipients []age.Recipient
	// Codec opens bodies for FormatLines; an archive keeps them as they are,
	// sealed ones sealed. Defaults to plain bodies.
	Codec perdure.Codec
	// PageSize is how many records are asked for at once. Defaults to 1000.
	PageSize int
	// Progress is called after every page, by the caller of Backup. Defaults to
	// none.
	Progress func(Progress)
	// Now is the clock. Defaults to that of the store, or, if it has none, to time.Now.
	Now func() time.Time
}

// Progress is how far a backup or a restore has come.
type Progress struct {
	// Stage is what it is at: "scan" and "catch up", or "verify", "tombstones" and
	// "sessions".
	Stage string `json:"stage"`
	// Records are those that this stage has dealt with, and Total about how many
	// there are; 0 is not known.
	Records int64 `json:"records"`
	Total   int64 `json:"total,omitempty"`
	// Bytes are those written, or read in this stage.
	Bytes int64 `json:"bytes"`
	// Failed are the records that could not be read or written.
	Failed int64 `json:"failed,omitempty"`
}

// Summary is what a backup has done.
type Summary struct {
	Header Header `json:"header"`
	Footer Footer `json:"footer"`
	// Bytes is the size of the file.
	Bytes int64 `json:"bytes"`
	// Unreadable are the ids of records that are stored and could not be read, the
	// first hundred: the footer counts all.
	Unreadable []string `json:"unreadable,omitempty"`
}

const (
	defaultPageSize = 1000
	// callTimeout bounds one call of a backend.
	callTimeout = 30 * time.Second
	// maxScans bounds how often a backup begins anew because the change feed or the
	// scan lost its place.
	maxScans = 3
)

// Backup writes all that the backend holds to out, but for records that cannot be
// read: these are counted and named, and are no error. It returns ErrFeedGap where
// changes come faster than the change feed can keep them while it scans, and
// what the backend and out return; what was written then is no archive.
func Backup(ctx context.Context, backend perdure.Backend, out io.Writer, o BackupOptions) (Summary, error) {
	if o.PageSize == 0 {
		o.PageSize = defaultPageSize
	}
	if o.Now == nil {
		o.Now = perdure.TimeOf(backend, nil)
	}
	if o.PageSize < 0 {
		return Summary{}, invalid("PageSize", "is %d; it must be above zero", o.PageSize)
	}
	counted := &counter{out: out}
	target, finish, err := encrypting(counted, o.Recipients)
	if err != nil {
		return Summary{}, err
	}
	b := backup{BackupOptions: o, backend: backend, written: &counted.n, missed: map[string]bool{}}
	switch o.Format {
	case "", FormatArchive:
		if b.sink, err = newFrames(target); err != nil {
			return Summary{}, err
		}
	case FormatLines:
		b.sink = newLines(target, o.Codec)
	default:
		return Summary{}, invalid("Format", "is %q; %q and %q are allowed", o.Format, FormatArchive, FormatLines)
	}
	s, err := b.run(ctx)
	if err == nil {
		err = finish()
	}
	s.Bytes = counted.n
	return s, err
}

// encrypting wraps out; finish writes what is still due.
func encrypting(out io.Writer, to []age.Recipient) (target io.Writer, finish func() error, err error) {
	if len(to) == 0 {
		return out, func() error { return nil }, nil
	}
	sealed, err := age.Encrypt(out, to...)
	if err != nil {
		return nil, nil, fmt.Errorf("encrypting the backup: %w", err)
	}
	return sealed, sealed.Close, nil
}

// counter counts what goes through it.
type counter struct {
	out io.Writer
	n   int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	c.n += int64(n)
	return n, err
}

// backup is one under way.
type backup struct {
	BackupOptions
	backend perdure.Backend
	sink    sink
	written *int64
	totals  Totals
	total   int64           // about
	missed  map[string]bool // ids of records that cannot be read
}

func (b *backup) run(ctx context.Context) (s Summary, err error) {
	if s.Header, err = b.header(ctx); err != nil {
		return s, err
	}
	b.total = s.Header.Sessions + s.Header.Tombstones
	if err := b.sink.begin(s.Header); err != nil {
		return s, err
	}
	position := s.Header.Position
	for {
		err, gap := b.scan(ctx), error(nil)
		if errors.Is(err, perdure.ErrListExpired) { // an outage of the store began or ended meanwhile
			err, gap = nil, err
		} else if err == nil {
			position, gap, err = b.catchUp(ctx, position)
		}
		if err != nil {
			return s, err
		}
		if gap == nil {
			break
		}
		if b.totals.Rescans++; b.totals.Rescans == maxScans {
			if errors.Is(gap, perdure.ErrListExpired) {
				return s, fmt.Errorf("%w: it went away or came back %d times during the backup; make it when the store is well", perdure.ErrUnavailable, maxScans)
			}
			return s, fmt.Errorf("the store changes faster than a backup can follow: %w\nmake the change feed longer (PERDURE_FEED_LENGTH), or try at a quieter time", gap)
		}
	}
	b.totals.Unreadable = int64(len(b.missed))
	for _, id := range slices.Sorted(maps.Keys(b.missed)) {
		if len(s.Unreadable) < maxRefusals {
			s.Unreadable = append(s.Unreadable, printable.Clip(id, perdure.MaxIDLen))
		}
	}
	s.Footer = Footer{Totals: b.totals, FinishedAt: b.Now().UTC(), Position: position}
	s.Footer, err = b.sink.end(s.Footer)
	return s, err
}

func (b *backup) header(ctx context.Context) (Header, error) {
	h := Header{Source: b.Source, StartedAt: b.Now().UTC(), Expired: b.Expired}
	err := call(ctx, func(ctx context.Context) error {
		now, err := b.backend.Changes(ctx, perdure.FromNow, 1, 0)
		if err != nil {
			return err
		}
		h.Position = now.Next
		stats, err := b.backend.Stats(ctx)
		h.Sessions, h.Tombstones = stats.Sessions, stats.Tombstones
		return err
	})
	return h, err
}

// call bounds one call of the backend.
func call(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return do(ctx)
}

func (b *backup) scan(ctx context.Context) error {
	query := perdure.ScanQuery{Limit: b.PageSize, Dead: true}
	for {
		var page perdure.Page
		err := call(ctx, func(ctx context.Context) (err error) {
			page, err = b.backend.Scan(ctx, query)
			return err
		})
		if err != nil {
			return err
		}
		b.miss(page.Unreadable...)
		if err := b.take(page.Records, "scan"); err != nil {
			return err
		}
		if query.After = page.Next; query.After == "" {
			return nil
		}
	}
}

// take gives records to the sink.
func (b *backup) take(records []perdure.Record, stage string) error {
	now := perdure.MillisOf(b.Now())
	for i := range records {
		r := &records[i]
		if r.Notice() { // it is about this store
			continue
		}
		if r.Kind == perdure.KindSession && !r.Live(now) {
			if b.totals.Expired++; !b.Expired {
				continue
			}
		}
		err := b.sink.add(r)
		switch {
		case errors.Is(err, perdure.ErrFormat):
			b.miss(r.ID)
		case err != nil:
			return err
		default:
			delete(b.missed, r.ID) // it was written anew since
			b.totals.count(r)
		}
	}
	if b.Progress != nil {
		b.Progress(Progress{
			Stage: stage, Records: b.totals.Records(), Total: max(b.total, b.totals.Records()), Bytes: *b.written, Failed: int64(len(b.missed)),
		})
	}
	return nil
}

// miss notes records that cannot be read.
func (b *backup) miss(ids ...string) {
	for _, id := range ids {
		b.missed[id] = true
	}
}

// catchUp takes all that has changed since the position, until it has seen the
// end of the feed. A gap in the feed is no failure: the store is then scanned
// again.
func (b *backup) catchUp(ctx context.Context, position string) (next string, gap, err error) {
	for {
		var batch perdure.ChangeBatch
		err := call(ctx, func(ctx context.Context) (err error) {
			batch, err = b.backend.Changes(ctx, position, b.PageSize, 0)
			return err
		})
		if errors.Is(err, perdure.ErrFeedGap) {
			return batch.Next, err, nil
		}
		if err != nil {
			return position, nil, err
		}
		position = batch.Next
		records, err := b.changed(ctx, batch.Changes)
		if err != nil {
			return position, nil, err
		}
		if err := b.take(records, "catch up"); err != nil {
			return position, nil, err
		}
		if len(batch.Changes) < b.PageSize {
			return position, nil, nil
		}
	}
}

// changed loads what was changed, as it is after the changes or later.
func (b *backup) changed(ctx context.Context, changes []perdure.Change) (records []perdure.Record, err error) {
	news := map[string]news{}
	for _, c := range changes {
		news[c.ID] = news[c.ID].and(c)
	}
	ids := slices.Collect(maps.Keys(news))
	err = call(ctx, func(ctx context.Context) error {
		for len(ids) > 0 {
			found, err := b.backend.Load(ctx, ids)
			bad, err := perdure.AsUnreadable(err)
			if err != nil {
				return err
			}
			if bad != nil {
				b.miss(bad.IDs...)
			}
			ids = ids[:0]
			for i := range found {
				switch r := &found[i]; {
				case !r.Exists(): // swept since, or unreadable
				case news[r.ID].ahead(r):
					ids = append(ids, r.ID)
				default:
					records = append(records, *r)
				}
			}
			if err := pause(ctx, len(ids) > 0); err != nil {
				return err
			}
		}
		return nil
	})
	return records, err
}

// news is what changes say of one id.
type news struct {
	written perdure.Version
	ended   perdure.Version
}

func (n news) and(c perdure.Change) news {
	if c.Kind == perdure.Deleted {
		n.ended = c.Version
	} else {
		n.written = c.Version
	}
	return n
}

// ahead reports whether the record, from a cache that will hear of it yet, is
// from before the news. A tombstone can have a lesser version than the session
// that it has met.
func (n news) ahead(r *perdure.Record) bool {
	if r.Kind == perdure.KindTombstone {
		return r.Version.Before(n.ended)
	}
	return !n.ended.IsZero() || r.Version.Before(n.written)
}

// cacheLag is about how long a cache takes to hear of a change.
const cacheLag = 2 * time.Millisecond

// pause waits for a cache, if it must.
func pause(ctx context.Context, wait bool) error {
	if !wait {
		return nil
	}
	timer := time.NewTimer(cacheLag)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: reads stay behind the change feed: %w", perdure.ErrUnavailable, ctx.Err())
	}
}
