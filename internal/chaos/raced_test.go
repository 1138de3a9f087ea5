//go:build race

package chaos

// raced says whether the race detector is on: it finds nothing more in a process that
// has a bug on purpose.
const raced = true
