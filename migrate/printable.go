package migrate

import (
	"strings"
	"unicode"
)

const maxPrinted = 200

// printable takes out what could drive a terminal, and cuts what is long.
func printable(s string) string {
	if len(s) > maxPrinted {
		s = strings.ToValidUTF8(s[:maxPrinted], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
