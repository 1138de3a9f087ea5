package simulation

import (
	"fmt"
	"slices"
	"sync"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/reference"
)

// site is the front store of one service.
type site struct {
	spaces reference.Spaces
	modes  []Mode // of the links, by process

	mu    sync.Mutex
	boots int
	saved func() // goes back to what was saved
}

const space = "the front store"

func newSite(bug reference.Bug, procs int) *site {
	return &site{spaces: reference.Spaces{Bug: bug}, modes: slices.Repeat([]Mode{Well}, procs)}
}

func (s *site) open() perdure.Backend { return s.spaces.Open(space, reference.Options{}) }

func (s *site) news() <-chan struct{} { return s.spaces.News(space) }

func (s *site) reboots() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.boots
}

func (s *site) incarnation() string { return fmt.Sprint("incarnation ", s.reboots()) }

// reboot begins another history: with what it holds, nothing, or what was saved.
func (s *site) reboot(op Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boots++
	switch {
	case op == Empty:
		s.spaces.Lose(space)
	case op == Older && s.saved != nil:
		s.saved()
	}
}

func (s *site) save() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = s.spaces.Save(space)
}
