package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/perdure/perdure"
)

// expiring is sessions of which a list expires after its first page, once.
type expiring struct {
	sessions
	err   error
	empty bool // the first page
	asked int
}

func (e *expiring) list(_ context.Context, _, token string, _ bool) (listed, error) {
	if token != "" && e.err != nil {
		err := e.err
		e.err = nil
		return listed{}, err
	}
	e.asked++
	page := listed{sessions: []session{{ID: "one"}}, next: "next"}
	if e.empty && e.asked == 1 {
		page.sessions = nil
	}
	if token != "" || e.asked > 1 {
		page.next = ""
	}
	return page, nil
}

// TestAListThatExpires begins anew while nothing of it was printed; after that it says
// that it has broken off.
func TestAListThatExpires(t *testing.T) {
	for _, expired := range []error{perdure.ErrListExpired, connect.NewError(connect.CodeOutOfRange, errors.New("begin anew"))} {
		var stdout, stderr bytes.Buffer
		a := &app{stdout: &stdout, stderr: &stderr, json: true}
		if err := a.listAll(t.Context(), &expiring{err: expired, empty: true}, "", false); err != nil || strings.Count(stdout.String(), "one") != 1 {
			t.Errorf("nothing was printed: %v, %s", err, &stdout)
		}
		err := a.listAll(t.Context(), &expiring{err: expired}, "", false)
		if exitCode(err) != exitPartial || !strings.Contains(err.Error(), "list again") {
			t.Errorf("exit code %d: %v", exitCode(err), err)
		}
	}
}
