package simulation

import "slices"

// Shrink leaves out steps, many at a time and then one by one, for as long as the
// rest still fails.
func Shrink(steps []Step, fails func([]Step) bool) []Step {
	for size := (len(steps) + 1) / 2; size > 0; {
		shorter := false
		for at := 0; at < len(steps); {
			rest := slices.Delete(slices.Clone(steps), at, min(at+size, len(steps)))
			if fails(rest) {
				steps, shorter = rest, true
				continue
			}
			at += size
		}
		if size == 1 && !shorter {
			break
		}
		if size > 1 {
			size /= 2
		}
	}
	return steps
}
