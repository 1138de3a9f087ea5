package failover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// damagedMark is in the name of a folder whose journal was damaged and is kept aside.
const damagedMark = ".damaged-"

const keptAdvice = "nothing has to be done: remove the folder when nobody wants to look at it any more"

// lossFile is a file in such a folder whose first line says what was lost.
const lossFile = "loss"

// setAside brings what is intact of a damaged journal into this one, and keeps its
// folder under another name, for who wants to look at it. Which of its sessions have
// ended may be on the pages that are lost: none is served before the front store was
// reached. Where it is interrupted it is done again, which does no harm.
func (j *journal) setAside(o *Options, clock *perdure.Clock, dir string, cause error) error {
	left, err := local.Salvage(dir)
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for i := range left.Records {
		r := &left.Records[i]
		if ids[r.ID] = true; r.Kind == perdure.KindSession {
			j.stale.add(r.ID)
		}
	}
	j.listStale(o)
	merger := perdure.Merger{Backend: j.Backend, Clock: clock, Codec: o.Codec}
	for rest := left.Records; len(rest) > 0; {
		step := rest[:min(len(rest), recoveryPage)]
		rest = rest[len(step):]
		for _, merged := range merger.MergeAll(context.Background(), step) {
			if merged.Err != nil && !refusal(merged.Err) {
				return merged.Err
			}
		}
	}
	lost := "how many more there were cannot be told"
	if left.Want >= 0 {
		lost = count(int64(max(left.Want-len(ids), 0)), "record") + " lost"
	}
	loss := fmt.Sprintf("a damaged journal: %s saved from it, and merged with the others when Redis is back; %s", count(int64(len(ids)), "record"), lost)
	why, _, _ := strings.Cut(cause.Error(), "; ") // what to do about a store's file is no advice here
	kept, err := rename(o, dir, loss)
	if err != nil {
		return err
	}
	j.left = append(j.left, kept)
	o.Logger.Error("the journal in a folder is damaged; the folder is kept aside", "dir", dir, "kept", kept, "saved", len(ids), "loss", lost, "error", why, "advice", keptAdvice)
	return nil
}

// rename gives the folder of a damaged journal a name that says so.
func rename(o *Options, dir, loss string) (kept string, err error) {
	if err := replaceFile(filepath.Join(dir, lossFile), []byte(loss+"\n")); err != nil {
		return "", err
	}
	stem := dir + damagedMark + o.Now().UTC().Format("20060102T150405Z")
	kept = stem
	for n := 2; ; n++ {
		if _, err := os.Lstat(kept); errors.Is(err, os.ErrNotExist) {
			return kept, os.Rename(dir, kept)
		}
		kept = fmt.Sprintf("%s-%d", stem, n)
	}
}

func isDamagedFolder(dir string) bool { return strings.Contains(filepath.Base(dir), damagedMark) }
