package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/perdure/perdure"
)

// Stats counts what is in memory.
func (b *Backend) Stats(ctx context.Context) (perdure.Stats, error) {
	if err := b.ready(ctx); err != nil {
		return perdure.Stats{}, err
	}
	stats := perdure.Stats{
		Backend:    "memory",
		Bytes:      b.bytes.Load(),
		MaxBytes:   b.opts.MaxBytes,
		FeedLength: int64(b.feed.len()),
	}
	stats.Sessions, stats.Tombstones = b.counts()
	if notice, err := b.Get(ctx, perdure.EpochID(perdure.NoticeUser())); err == nil && notice.Exists() {
		stats.Tombstones-- // it ends nobody
	}
	if b.file != nil {
		stats.Backend = "file"
		stats.Details = map[string]string{
			"directory":  b.opts.Dir,
			"fileBytes":  strconv.FormatInt(b.fileSize(), 10),
			"unreadable": strconv.Itoa(len(b.unreadable)),
		}
	}
	return stats, nil
}

// fileSize is the length of the data file in bytes.
func (b *Backend) fileSize() int64 {
	info, err := os.Stat(b.file.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Inspect reports how the backend is set up, worst first.
func (b *Backend) Inspect(ctx context.Context) ([]perdure.Finding, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	findings := []perdure.Finding{b.inspectMemory()}
	if b.file == nil {
		findings = append(findings, perdure.Finding{
			Severity: perdure.SeverityInfo, Name: "durability", Found: "none: sessions end with the process",
			Advice: "give it a data directory, or use Redis, where sessions are to survive a restart",
		})
	} else {
		findings = append(findings, b.inspectFile(ctx)...)
	}
	slices.SortStableFunc(findings, func(x, y perdure.Finding) int { return int(y.Severity) - int(x.Severity) })
	return findings, nil
}

func (b *Backend) inspectMemory() perdure.Finding {
	used, bound := b.bytes.Load(), b.opts.MaxBytes
	sessions, ends := b.counts()
	f := perdure.Finding{Name: "memory", Found: fmt.Sprintf("%s of %s, for %d sessions and the ends of %d", mebibytes(used), mebibytes(bound), sessions, ends)}
	switch room := b.opts.sessionBytes() - used; {
	case room < 1<<10: // about what a small session takes
		f.Severity = perdure.SeverityError
		f.Advice = "raise the bound (PERDURE_MAX_MEMORY): new sessions are refused; people can still log out"
	case used > bound/10*8:
		f.Severity = perdure.SeverityWarning
		f.Advice = "raise the bound (PERDURE_MAX_MEMORY) before it is reached: new sessions are refused then"
	}
	if f.Advice != "" && ends > sessions {
		f.Advice += "; or shorten PERDURE_HORIZON: the end of a session takes some 250 bytes until its horizon"
	}
	return f
}

// counts are those of sessions, and of tombstones with epochs.
func (b *Backend) counts() (sessions, ends int64) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.RLock()
		sessions += int64(s.sessions)
		ends += int64(s.entries.count - s.sessions)
		s.mu.RUnlock()
	}
	return sessions, ends
}

func (b *Backend) inspectFile(ctx context.Context) []perdure.Finding {
	durability := perdure.Finding{Name: "durability", Found: "every write is on disk before it is acknowledged"}
	if err := b.PingFile(ctx); err != nil {
		durability = perdure.Finding{Severity: perdure.SeverityError, Name: "durability", Found: err.Error(),
			Advice: "writes are refused until this is repaired; reads go on from memory"}
	}
	size := mebibytes(b.fileSize())
	if _, err := os.Stat(b.file.path); err != nil {
		size = "there is none"
	}
	findings := []perdure.Finding{
		durability,
		{Name: "data directory", Found: b.opts.Dir},
		{Name: "data file", Found: size},
		b.inspectSpace(),
		inspectMode(b.opts.Dir, 0o700),
		inspectMode(b.file.path, 0o600),
	}
	if n := len(b.unreadable); n > 0 {
		findings = append(findings, perdure.Finding{
			Severity: perdure.SeverityError, Name: "unreadable records", Found: strconv.Itoa(n),
			Advice: "they stay in the data file and are not served; the log of the start names each: upgrade this process, or restore a backup into an empty directory",
		})
	}
	return findings
}

func (b *Backend) inspectSpace() perdure.Finding {
	f := perdure.Finding{Name: "free disk space", Found: "unknown"}
	if free := freeSpace(b.opts.Dir); free >= 0 {
		f.Found = mebibytes(free)
		// The file can grow to some twice what the records take in memory.
		if need := 2*b.opts.MaxBytes - b.fileSize(); free < need/10 {
			f.Severity = perdure.SeverityWarning
			f.Advice = "make room: a full disk refuses every write"
		}
	}
	return f
}

// inspectMode looks at the permissions of a path.
func inspectMode(path string, want os.FileMode) perdure.Finding {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return perdure.Finding{Severity: perdure.SeverityError, Name: "permissions", Found: path + " does not exist",
			Advice: "free its place and make room: the next write makes it"}
	}
	mode, wide := tooWide(path)
	f := perdure.Finding{Name: "permissions", Found: fmt.Sprintf("%04o on %s", mode, path)}
	if wide {
		f.Severity = perdure.SeverityWarning
		f.Advice = fmt.Sprintf("others can reach the sessions: chmod %04o %s", want, path)
	}
	return f
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
