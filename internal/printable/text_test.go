package printable

import "testing"

func TestText(t *testing.T) {
	if got := Text("a\x1b[2J\n\u202eü\xff"); got != "a\ufffd[2J\ufffd\ufffdü\ufffd" {
		t.Errorf("%q", got)
	}
	for text, want := range map[string]string{"four": "four", "fours": "four…", "fouü": "fou…", "\x07our5": "\ufffdour…"} {
		if got := Clip(text, 4); got != want {
			t.Errorf("%q became %q, not %q", text, got, want)
		}
	}
}
