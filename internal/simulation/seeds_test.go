//go:build !race

package simulation

// defaultSeeds are those of each profile that make test plays.
const defaultSeeds = 200

// raced says whether the race detector is on: it makes a history some ten times as
// slow, and finds nothing more in one whose front store is broken.
const raced = false
