// Package raced leaves out, with the race detector on, tests that it makes many times
// as slow and in which it can find nothing. make test runs those without it: whatever
// begins with raced.Skip(t).
package raced

import "testing"

// Skip skips the test if the race detector is on. It is the first line of a test.
func Skip(t testing.TB) {
	t.Helper()
	if on {
		t.Skip("the race detector is on; make test runs it without")
	}
}
