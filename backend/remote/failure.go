package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// kinds are the errors that a caller acts on, with their names on the wire. Of two
// that an error is, the first counts.
var kinds = [...]struct {
	name string
	err  error
}{
	{"full", perdure.ErrFull},
	{"late", context.DeadlineExceeded},
	{"invalid", perdure.ErrInvalid},
	{"skew", perdure.ErrSkew},
	{"format", perdure.ErrFormat},
	{"feed_gap", perdure.ErrFeedGap},
	{"list_expired", perdure.ErrListExpired},
	{"unavailable", perdure.ErrUnavailable},
}

// pass is an error as it travels, or nil.
func pass(err error) *perdurev1.Failure {
	if err == nil {
		return nil
	}
	f := &perdurev1.Failure{Kind: kinds[len(kinds)-1].name, Text: text(err.Error())}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			f.Kind = k.name
			break
		}
	}
	if wrong, ok := errors.AsType[*perdure.InvalidError](err); ok {
		f.Field, f.Text = text(wrong.Field), text(wrong.Problem)
	}
	unanswered, bad, _ := perdure.AsUnanswered(err)
	if unanswered != nil {
		f.Unanswered, f.Text = bytesOf(unanswered.IDs), text(cmp.Or(unanswered.Err, perdure.ErrUnavailable).Error())
	}
	if bad != nil {
		if f.Unreadable = bytesOf(bad.IDs); unanswered == nil {
			f.Text = ""
			if bad.Err != nil {
				f.Text = text(bad.Err.Error())
			}
		}
	}
	return f
}

// text is what a message takes for text.
func text(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// received is the error that arrived, or nil.
func received(f *perdurev1.Failure) error {
	switch {
	case f == nil:
		return nil
	case f.GetField() != "":
		return &perdure.InvalidError{Field: f.GetField(), Problem: f.GetText()}
	}
	kind := perdure.ErrUnavailable
	for _, k := range kinds {
		if k.name == f.GetKind() {
			kind = k.err
		}
	}
	err := &failed{text: f.GetText(), kinds: []error{kind}}
	if kind == context.DeadlineExceeded {
		err.kinds = append(err.kinds, perdure.ErrUnavailable)
	}
	if ids := f.GetUnanswered(); len(ids) > 0 {
		open := &perdure.UnansweredError{IDs: textsOf(ids), Err: err}
		if bad := textsOf(f.GetUnreadable()); len(bad) > 0 {
			open.Unreadable = &perdure.UnreadableError{IDs: bad}
		}
		return open
	}
	if ids := f.GetUnreadable(); len(ids) > 0 {
		bad := &perdure.UnreadableError{IDs: textsOf(ids)}
		if f.GetText() != "" {
			bad.Err = err
		}
		return bad
	}
	return err
}

// failed is an error of the daemon: its text, and what kinds of error it is.
type failed struct {
	text  string
	kinds []error
}

func (e *failed) Error() string   { return e.text }
func (e *failed) Unwrap() []error { return e.kinds }

// lost is the error of a call that brought no reply.
func (b *Backend) lost(ctx context.Context, err error) error {
	switch {
	case b.life.Err() != nil:
		return perdure.ErrClosed
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case ctx.Err() != nil, connect.CodeOf(err) == connect.CodeDeadlineExceeded:
		return fmt.Errorf("%w: the daemon at %s does not answer in time: %w", perdure.ErrUnavailable, b.where, context.DeadlineExceeded)
	case connect.CodeOf(err) == connect.CodeUnimplemented:
		return fmt.Errorf("%w: %s is not the admin port of a daemon of this release; the daemon says at its start where that is", perdure.ErrUnavailable, b.where)
	}
	return fmt.Errorf("%w: the daemon at %s: %v", perdure.ErrUnavailable, b.where, err) // whatever kind of error it was over there
}
