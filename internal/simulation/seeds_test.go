//go:build !race

package simulation

// defaultSeeds are those of each profile that make test plays.
const defaultSeeds = 400
