//go:build !race

package chaos

// raced says whether the race detector is on.
const raced = false
