package main

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/redistest"
)

// TestDoctorAsksForAWrite: a server that refuses logins is not well, however it is set up.
func TestDoctorAsksForAWrite(t *testing.T) {
	for name, command := range map[string][]string{
		"a full server":       {"CONFIG", "SET", "maxmemory", "1"},
		"a read-only replica": {"REPLICAOF", "127.0.0.1", "1"},
	} {
		server := redistest.Start(t, redistest.Options{})
		if r := cli(t, nil, "doctor", "--store", server.URL()); r.code != exitOK || !strings.Contains(r.stdout, "would be acknowledged now") {
			t.Errorf("before it is %s: %+v", name, r)
		}
		if _, err := server.Do(command...); err != nil {
			t.Fatal(err)
		}
		if r := cli(t, nil, "doctor", "--store", server.URL()); r.code != exitError || !strings.Contains(r.stdout, "writes: a login or a logout would fail now") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
