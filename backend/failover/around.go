package failover

import (
	"os"
	"path/filepath"
	"slices"
	"time"
)

// KeptJournal is a journal in the directory that this process does not merge.
type KeptJournal struct {
	Dir    string `json:"dir"`
	Why    string `json:"why"`
	Advice string `json:"advice"`
}

// lookAround finds journals in the directory that nobody is about to merge: of other
// stores whose processes are gone, and damaged ones.
func (b *Backend) lookAround() {
	if b.opts.Dir == "" {
		return
	}
	entries, err := os.ReadDir(b.opts.Dir)
	if err != nil {
		return
	}
	var kept []KeptJournal
	for _, entry := range entries {
		if dir := filepath.Join(b.opts.Dir, entry.Name()); entry.IsDir() && dir != b.journal.dir {
			if k, ok := b.keptJournal(dir); ok {
				kept = append(kept, k)
			}
		}
	}
	var before []KeptJournal
	if known := b.kept.Swap(&kept); known != nil {
		before = *known
	}
	for _, k := range kept {
		if !slices.Contains(before, k) {
			what := "a journal in the directory is not merged by this process"
			if isDamagedFolder(k.Dir) {
				what = "what is left of a damaged journal is kept aside"
			}
			b.opts.Logger.Warn(what, "dir", k.Dir, "why", k.Why, "advice", k.Advice)
		}
	}
}

// keptJournal says why the journal in a folder is kept, if it is.
func (b *Backend) keptJournal(dir string) (KeptJournal, bool) {
	if isDamagedFolder(dir) {
		loss, err := firstLine(filepath.Join(dir, lossFile))
		if err != nil || loss == "" {
			loss = "a damaged journal"
		}
		return KeptJournal{dir, loss, keptAdvice}, true
	}
	store, err := identity(dir)
	sign, unsigned := readSign(dir)
	if err != nil || store == "" || store == b.opts.Store || unsigned != nil {
		return KeptJournal{}, false
	}
	if idle := time.Duration(b.time.shown()-sign.At) * time.Millisecond; idle >= 0 && idle < gone {
		return KeptJournal{}, false // its process is at work
	}
	return KeptJournal{
		dir, "what was written in an outage of another store waits in it: " + store,
		"start a process of that store in this directory; or, if it is the same under another name, remove the file " + identityFile + " in the folder and start this one again",
	}, true
}

// gone is how old the sign of life of a process is at least that does not run.
const gone = time.Minute
