package failover

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// maxFolders bounds the processes that share a directory.
const maxFolders = 256

func openLocal(o *Options, dir string) (*local.Backend, error) {
	return local.Open(local.Options{
		Dir: dir, MaxBytes: o.MaxJournalBytes, MaxEndBytes: endBytes(o), MaxClockSkew: o.MaxClockSkew, FeedLength: 1, LockWait: -1, Now: o.Now, Logger: o.Logger,
	})
}

// openFolder opens the journal in the first folder of the directory that no other
// process holds. Without a directory it is in memory.
func openFolder(o *Options) (*local.Backend, string, error) {
	if o.Dir == "" {
		b, err := openLocal(o, "")
		return b, "", err
	}
	for n := range maxFolders {
		dir := folder(o, n)
		b, err := openLocal(o, dir)
		if !errors.Is(err, local.ErrLocked) {
			return b, dir, err
		}
	}
	return nil, "", fmt.Errorf("%w: %d processes share the directory %s; give this one another", perdure.ErrUnavailable, maxFolders, o.Dir)
}

func folder(o *Options, n int) string { return filepath.Join(o.Dir, strconv.Itoa(n+1)) }

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
		if dir == j.dir {
			continue
		}
		n, err := j.empty(o, clock, dir)
		if errors.Is(err, local.ErrLocked) {
			continue
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
	left, err := openLocal(o, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, left.Close()) }()
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
