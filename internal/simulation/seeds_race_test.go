//go:build race

package simulation

// defaultSeeds are those of each profile that make test plays with the race
// detector, which makes a history some ten times as slow.
const defaultSeeds = 30
