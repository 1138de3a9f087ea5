package perdure

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"
)

const (
	watchLimit = 1000
	watchWait  = 30 * time.Second
)

// Watch yields changes as they come, in batches, from the cursor on: FromNow,
// FromOldest, or the Next of a batch that was dealt with. The first batch comes
// at once, if need be without changes: from its Next on nothing is missed. It
// ends when ctx does. Changes of one session come in the order in which they
// were made.
//
// No version of a session is told twice, but by touches, and no session ends twice:
// it is Deleted or Expired, once, but that a Deleted with ReasonRotated may be
// followed by that of its end. An end may come of a session that was never Created:
// one that was elsewhere, such as in the journal of an outage.
//
// An error ends it. After ErrFeedGap, when changes after the cursor are no
// longer there, the batch that comes with the error has the cursor to go on
// from, once the sessions were listed afresh. After ErrUnavailable, watch again
// from the last Next.
func (s *Store) Watch(ctx context.Context, cursor string) iter.Seq2[ChangeBatch, error] {
	return func(yield func(ChangeBatch, error) bool) {
		call := s.call(ActionWatch, Target{})
		if err := s.allow(ctx, ActionWatch, Target{}); err != nil {
			yield(ChangeBatch{}, call.end(ctx, err))
			return
		}
		for wait := time.Duration(0); ; wait = watchWait {
			batch, err := s.backend.Changes(ctx, cursor, watchLimit, wait)
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return
			}
			batch.Changes = slices.DeleteFunc(batch.Changes, func(c Change) bool { return c.Kind == UserRevoked })
			if err != nil {
				yield(batch, call.end(ctx, err))
				return
			}
			cursor = batch.Next
			if (wait == 0 || len(batch.Changes) > 0) && !yield(batch, nil) {
				return
			}
		}
	}
}
