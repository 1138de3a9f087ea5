package redis

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
)

func record400(id string) perdure.Record {
	return perdure.Record{ID: id, Body: strings.Repeat("x", 400), Header: perdure.Header{Kind: perdure.KindSession}}
}

// cache puts a record as somebody who has just read it does.
func (n *near) cache(r perdure.Record) {
	_, _, s := n.get(r.ID)
	n.put(s, r)
}

func (n *near) has(id string) bool {
	_, found, _ := n.get(id)
	return found
}

func TestNearKeepsWhatWasRead(t *testing.T) {
	n := newNear(1<<20, time.Hour)
	r := record400("a")
	n.cache(r)
	if got, found, _ := n.get("a"); !found || got != r {
		t.Errorf("got %+v, %v", got, found)
	}
	_, _, s := n.list("index")
	n.putList(s, "index", []string{"a"})
	if ids, found, _ := n.list("index"); !found || !slices.Equal(ids, []string{"a"}) {
		t.Errorf("the list is %v, %v", ids, found)
	}
	n.drop("index")
	if _, found, _ := n.list("index"); found {
		t.Error("a dropped list is there")
	}
	n.cache(perdure.Record{ID: "nothing"})
	if n.has("nothing") {
		t.Error("what does not exist is kept")
	}
	n.drop("a")
	if n.has("a") || n.size() != 0 {
		t.Errorf("a dropped record is there, or its %d bytes", n.size())
	}
}

// A value that was asked for before a change may be older than it.
func TestNearTakesNoValueFromBeforeAChange(t *testing.T) {
	for name, change := range map[string]func(n *near){
		"drop":  func(n *near) { n.drop("a") },
		"clear": func(n *near) { n.clear() },
	} {
		n := newNear(1<<20, time.Hour)
		_, _, asked := n.get("a")
		change(n)
		n.put(asked, record400("a"))
		if n.has("a") {
			t.Errorf("%s: a value that was asked for before is kept", name)
		}
		n.cache(record400("a"))
		if !n.has("a") {
			t.Errorf("%s: a value that was asked for after is not kept", name)
		}
	}
}

func TestNearForgetsWithAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNear(1<<20, time.Minute)
		n.cache(record400("a"))
		time.Sleep(time.Minute)
		if !n.has("a") {
			t.Error("a record is gone before its time")
		}
		time.Sleep(time.Millisecond)
		if n.has("a") {
			t.Error("a record is there after its time")
		}
	})
}

func TestNearIsBounded(t *testing.T) {
	const limit = 256 << 10
	n := newNear(limit, time.Hour)
	for i := range 5000 {
		n.cache(record400(fmt.Sprint("id", i)))
		if size := n.size(); size > limit {
			t.Fatalf("%d bytes are kept, the bound is %d", size, limit)
		}
	}
	if size := n.size(); size < limit/2 {
		t.Errorf("only %d of %d bytes are used", size, limit)
	}
	count := 0
	for i := range n.shards {
		count += len(n.shards[i].entries)
		for e := n.shards[i].oldest; e != nil; e = e.newer {
			count--
		}
	}
	if count != 0 {
		t.Errorf("the map and the list differ by %d", count)
	}
	huge := record400("huge")
	huge.Body = strings.Repeat("x", limit)
	n.cache(huge)
	if n.has("huge") {
		t.Error("a record larger than its share is kept")
	}
}

func TestNearEvictsWhatIsNotReadAgain(t *testing.T) {
	n := newNear(1<<20, time.Hour) // room for twenty in a shard: no hash crowds one out
	var popular []string
	for i := range 100 {
		popular = append(popular, fmt.Sprint("popular", i))
		n.cache(record400(popular[i]))
	}
	for i := range 3000 {
		n.cache(record400(fmt.Sprint("once", i)))
		n.has(popular[i%len(popular)])
	}
	kept := 0
	for _, id := range popular {
		if n.has(id) {
			kept++
		}
	}
	if kept < len(popular)*9/10 {
		t.Errorf("%d of %d popular records were kept while 3000 were read once", kept, len(popular))
	}
}

func TestNoNear(t *testing.T) {
	n := newNear(-1, time.Hour)
	n.cache(record400("a"))
	n.drop("a")
	n.clear()
	if n.has("a") || n.size() != 0 {
		t.Error("no cache keeps a record")
	}
}

func TestNearIsSafeForConcurrentUse(t *testing.T) {
	n := newNear(64<<10, time.Hour)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 3000 {
				id := fmt.Sprint("id", (i*7+w)%300)
				switch i % 16 {
				case 0:
					n.drop(id)
				case 1:
					if i%1000 == 1 {
						n.clear()
					}
				default:
					if r, found, s := n.get(id); !found {
						n.put(s, record400(id))
					} else if r.ID != id {
						t.Errorf("asked for %s and got %s", id, r.ID)
					}
				}
			}
		})
	}
	all.Wait()
}
