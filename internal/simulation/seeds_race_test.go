//go:build race

package simulation

// defaultSeeds are those of each profile that make test plays with the race
// detector.
const defaultSeeds = 10

const raced = true
