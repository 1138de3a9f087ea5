package migrate

import (
	"encoding/json"
	"testing"
)

// FuzzCheckpoint: whatever the file holds, it is refused, or is a state that is
// written and read back as it is.
func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(`{"format":2,"name":"a to b","feed":"x.1","parts":256,"cursors":{"3":"03x"},"done":{"0":true},"result":{"total":7},"seconds":1.5,"held":{"name":"a,b","feed":"y.2"},"doubt":true,"back":{"feed":"z","cursors":null,"back":{"parts":1}}}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parseCheckpoint(content)
		if err != nil {
			return
		}
		if s.Cursors == nil || s.Done == nil {
			t.Fatalf("%+v", s)
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseCheckpoint(again); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}
