// Package printable makes text fit for a terminal or a report, whoever wrote it.
package printable

import (
	"strings"
	"unicode"
)

// Text takes out what could drive a terminal.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Clip is Text of no more than the first bytes of s, with … for the rest.
func Clip(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return Text(s)
}
