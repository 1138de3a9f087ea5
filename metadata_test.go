package perdure

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// FuzzAppendJSON: a string is written as json.Marshal writes it, whichever way.
func FuzzAppendJSON(f *testing.F) {
	for _, s := range []string{"", "plain text, 100% of it", `"`, `\`, "<a & b>", "\x00\n\t\x7f", "é 🎉 \u2028", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := appendJSON([]byte("before "), s)
		if err != nil || string(got) != "before "+string(want) {
			t.Errorf("%q is written %s, %v; json.Marshal writes %s", s, got, err, want)
		}
	})
}

// TestIsPlain: each byte counts wherever in a string it is, among any others.
func TestIsPlain(t *testing.T) {
	for c := range 256 {
		for _, other := range []string{" ", "~", "\x7f"} {
			for at := range 17 {
				s := strings.Repeat(other, at) + string([]byte{byte(c)}) + strings.Repeat(other, 16-at)
				if want, _ := json.Marshal(s); isPlain(s) != (string(want) == `"`+s+`"`) {
					t.Errorf("isPlain(%q) is %v; json.Marshal writes %s", s, isPlain(s), want)
				}
			}
		}
	}
}

// A patch does to the packed keys what it would do to a map.
func TestPatchedIsAsOfAMap(t *testing.T) {
	keys := rapid.SampledFrom([]string{"", "a", "aa", "ab", "b", "c", "é"})
	values := rapid.SampledFrom([]string{"null", "1", `"x"`, `{"y":[2]}`})
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.MapOf(keys, values).Draw(t, "before")
		patch := rapid.MapOf(keys, values).Draw(t, "patch")
		want, wantChanged := maps.Clone(before), []string{}
		for key, value := range patch {
			_, present := before[key]
			if value == "null" {
				delete(want, key)
			} else {
				want[key] = value
			}
			if present || value != "null" {
				wantChanged = append(wantChanged, key)
			}
		}
		got, changed := packMetadata(before).patched(packMetadata(patch))
		if got != packMetadata(want) {
			t.Fatalf("%v and %v make %q", before, patch, got.packed)
		}
		if slices.Sort(wantChanged); !slices.Equal(changed, wantChanged) {
			t.Fatalf("%v and %v change %q, want %q", before, patch, changed, wantChanged)
		}
	})
}

// The keys are in order, whatever the order in which the map gives them.
func TestMetadataIsSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		object, raw := map[string]any{}, map[string]string{}
		for key, n := range rapid.MapOf(rapid.StringN(0, 4, -1), rapid.Int()).Draw(t, "object") {
			object[key], raw[key] = n, strconv.Itoa(n)
		}
		if got, err := newMetadata(object); err != nil || got != packMetadata(raw) {
			t.Fatalf("%v becomes %q, %v", object, got.packed, err)
		}
	})
}
