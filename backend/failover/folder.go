package failover

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// maxFolders bounds the processes that share a directory.
const maxFolders = 256

// anySkew has a journal take what is stamped by any clock: it is mended later.
const anySkew = 200 * 365 * 24 * time.Hour

func openLocal(o *Options, dir string) (*local.Backend, error) {
	return local.Open(journalOptions(o, dir))
}

func journalOptions(o *Options, dir string) local.Options {
	return local.Options{
		Dir: dir, MaxBytes: o.MaxJournalBytes, MaxEndBytes: endBytes(o), MaxClockSkew: anySkew, FeedLength: 1, LockWait: -1, Strict: true,
		Made: o.journalMade, Now: o.Now, Logger: o.Logger,
	}
}

// openLate opens a journal that the disk has no room for: until there is some it takes
// no writes. Its folder is one that no other process comes upon meanwhile.
func openLate(o *Options) (*local.Backend, string, error) {
	dir := filepath.Join(o.Dir, strconv.Itoa(maxFolders+1+rand.IntN(math.MaxInt32-maxFolders)))
	options := journalOptions(o, dir)
	options.Late = true
	b, err := local.Open(options)
	return b, dir, err
}

// openFolder opens the journal in the first folder of the directory that no other
// process holds, that is of no other store, and that is not damaged. Without a directory
// it is in memory.
func openFolder(o *Options) (*local.Backend, string, error) {
	if o.Dir == "" {
		b, err := openLocal(o, "")
		return b, "", err
	}
	for n := range maxFolders {
		dir := filepath.Join(o.Dir, strconv.Itoa(n+1))
		b, err := openOurs(o, dir)
		if errors.Is(err, local.ErrLocked) || errors.Is(err, errForeign) || errors.Is(err, local.ErrDamaged) {
			continue
		}
		if errors.Is(err, local.ErrNoRoom) {
			return openLate(o)
		}
		return b, dir, err
	}
	return nil, "", fmt.Errorf("%w: %d processes share the directory %s; give this one another", perdure.ErrUnavailable, maxFolders, o.Dir)
}

// errForeign says that a folder has the journal of another store.
var errForeign = errors.New("of another store")

// openOurs opens the journal in a folder of the store of this process.
func openOurs(o *Options, dir string) (*local.Backend, error) {
	if !ours(o, dir) {
		return nil, errForeign
	}
	b, err := openLocal(o, dir)
	if err != nil {
		return nil, err
	}
	if !ours(o, dir) { // who held it until now has come first
		err = errForeign
	} else {
		err = identify(o, dir)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// takeOver brings what processes that are gone have left in their journals into
// this one. Each record is merged here before it is forgotten there.
func (j *journal) takeOver(o *Options, clock *perdure.Clock) error {
	if j.dir == "" {
		return nil
	}
	taken, err := filepath.Glob(filepath.Join(o.Dir, "*", "perdure.db"))
	if err != nil {
		return err
	}
	for _, file := range taken {
		dir := filepath.Dir(file)
		if _, err := strconv.Atoi(filepath.Base(dir)); err != nil || dir == j.dir || !ours(o, dir) {
			continue
		}
		n, err := j.empty(o, clock, dir)
		switch {
		case errors.Is(err, local.ErrLocked), errors.Is(err, errForeign):
			continue
		case errors.Is(err, local.ErrDamaged):
			if err = j.setAside(o, clock, dir, err); err == nil {
				continue
			}
		}
		j.left = append(j.left, dir)
		switch {
		case err != nil:
			o.Logger.Error("the journal that another process has left cannot be taken over", "dir", dir, "error", err)
		case n > 0:
			o.Logger.Warn("took over the journal that another process has left", "dir", dir, "records", n)
		}
	}
	return nil
}

// empty moves all records of a journal into this one.
func (j *journal) empty(o *Options, clock *perdure.Clock, dir string) (n int, err error) {
	left, err := openOurs(o, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, left.Close()) }()
	if err := j.noteStale(o, left, dir); err != nil {
		return 0, err
	}
	j.listStale(o)
	ctx := context.Background()
	merger := perdure.Merger{Backend: j.Backend, Clock: clock, Codec: o.Codec}
	for page, err := range pages(ctx, left) {
		if err != nil {
			return n, err
		}
		j.unreadable += len(page.Unreadable)
		var taken []perdure.Record
		for i, merged := range merger.MergeAll(ctx, page.Records) {
			switch {
			case merged.Err == nil:
				taken = append(taken, page.Records[i])
			case errors.Is(merged.Err, perdure.ErrFormat):
				j.unreadable++
				o.Logger.Error("a journalled record cannot be taken over; it stays where it is", "dir", dir, "id", page.Records[i].ID, "error", merged.Err)
			default:
				return n, merged.Err
			}
		}
		if err := left.Forget(ctx, taken); err != nil {
			return n, err
		}
		n += len(taken)
	}
	return n, nil
}
