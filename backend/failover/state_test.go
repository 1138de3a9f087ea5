package failover_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/perdure/perdure/backend/failover"
)

// TestAStartAtWhichAllIsWell logs nothing, and health says nothing of an outage.
func TestAStartAtWhichAllIsWell(t *testing.T) {
	var log bytes.Buffer
	shared := newShared(t)
	n := newNode(t, shared, failover.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if reason := n.failover.Health(t.Context()).Reason; strings.Contains(reason, "outage") {
		t.Errorf("the reason is %q", reason)
	}
	if err := n.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", &log)
	}
}

// TestAnOutageIsToldOnce: why there is one is said without saying anything twice.
func TestAnOutageIsToldOnce(t *testing.T) {
	n := newNode(t, newShared(t), failover.Options{Mirror: failover.MirrorSeen})
	n.cut.Store(true)
	_, err := n.Get(t.Context(), "00AAAAAAAAAAAAAAAAAAAAAA")
	if err == nil || strings.Count(err.Error(), "unavailable") != 1 || strings.Count(err.Error(), "cut") > 1 {
		t.Errorf("the error is %v", err)
	}
}
