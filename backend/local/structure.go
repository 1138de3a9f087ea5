package local

import (
	"bytes"
	"errors"
	"fmt"
)

// structure is a walk over all pages that a data file is made of.
type structure struct {
	*pageFile
	seen []uint64 // a bit for each page
}

// check walks from the root: each page is there once, is what it should be, and its
// keys are in order and within what its parent says; none is on the list of free ones.
func (p *pageFile) check() error {
	s := structure{pageFile: p, seen: make([]uint64, p.meta.high/64+1)}
	free, err := p.freeIDs()
	if err != nil {
		return err
	}
	for _, id := range free {
		if err := s.visit(id, 0); err != nil {
			return err
		}
	}
	if p.meta.freelist != noFreelist {
		pg, err := p.read(p.meta.freelist, p.meta.high)
		if err != nil {
			return err
		}
		if err := s.visit(pg.id, pg.overflow); err != nil {
			return err
		}
	}
	return s.tree(p.meta.root, nil, nil, 0)
}

// visit notes a page and its overflow, each of which is in one place only.
func (s *structure) visit(id uint64, overflow uint32) error {
	for n := id; n <= id+uint64(overflow); n++ {
		if n >= s.meta.high || s.seen[n/64]&(1<<(n%64)) != 0 {
			return fmt.Errorf("page %d is in two places", n)
		}
		s.seen[n/64] |= 1 << (n % 64)
	}
	return nil
}

// tree walks over a page and what is below it, whose keys are from least on and below
// the bound, if there is one.
func (s *structure) tree(id uint64, least, below []byte, depth int) error {
	pg, err := s.read(id, s.meta.high)
	if err != nil {
		return err
	}
	if err := s.visit(id, pg.overflow); err != nil {
		return err
	}
	switch {
	case depth > maxDepth:
		return errors.New("pages lie too deep")
	case pg.flags == branchFlag && pg.count > 0, pg.flags == leafFlag:
		return s.elements(&pg, least, below, depth)
	}
	return fmt.Errorf("page %d is damaged", id)
}

func (s *structure) elements(pg *page, least, below []byte, depth int) error {
	var next element
	var err error
	if pg.count > 0 {
		if next, err = pg.element(0); err != nil {
			return err
		}
	}
	for i := range pg.count {
		e := next
		bound := below
		if i+1 < pg.count {
			if next, err = pg.element(i + 1); err != nil {
				return err
			}
			bound = next.key
		}
		if bytes.Compare(e.key, least) < 0 || bound != nil && bytes.Compare(e.key, bound) >= 0 {
			return fmt.Errorf("the keys of page %d are out of order", pg.id)
		}
		switch {
		case pg.flags == branchFlag:
			err = s.tree(e.child, e.key, bound, depth+1)
		case e.bucket:
			err = s.bucket(&e, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *structure) bucket(e *element, depth int) error {
	root, err := e.root()
	if err != nil {
		return err
	}
	if root != 0 {
		return s.tree(root, nil, nil, depth)
	}
	pg, err := e.inline()
	if err != nil || depth > maxDepth {
		return errors.Join(err, s.tooDeep(depth))
	}
	return s.elements(&pg, nil, nil, depth)
}

func (*structure) tooDeep(depth int) error {
	if depth > maxDepth {
		return errors.New("buckets lie too deep")
	}
	return nil
}
