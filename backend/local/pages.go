package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// What is read here of the format of bbolt: docs of its file are its source,
// internal/common. It is in the byte order of the machine. bbolt follows what a damaged
// page says, round in circles if need be; so a file is looked at here first.
const (
	pageHeaderSize = 16
	elementSize    = 16
	bucketSize     = 16
	metaSize       = 64
	metaMagic      = 0xED0CDAED
	minPageSize    = 1 << 10
	maxPageSize    = 1 << 24

	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10

	bucketFlag = 0x01 // of an element: its value is a bucket
	noFreelist = ^uint64(0)
	maxDepth   = 64 // of pages below each other
)

var order = binary.NativeEndian

// pageFile is a data file, page by page.
type pageFile struct {
	r        io.ReaderAt
	size     int64 // of the file
	pageSize int64
	meta     boltMeta // the newer one that is intact
	metas    int      // how many of the two are intact
}

type boltMeta struct {
	pageSize             int64
	root, freelist, high uint64 // high is the first page that was never used
	tx                   uint64
}

// openPages reads the meta pages. It fails where neither is intact.
func openPages(r io.ReaderAt, size int64) (*pageFile, error) {
	p := &pageFile{r: r, size: size}
	first, err := p.readMeta(0)
	if err == nil {
		p.take(first)
		if second, err := p.readMeta(first.pageSize); err == nil {
			p.take(second)
		}
		return p, nil
	}
	for at := int64(minPageSize); at <= maxPageSize && at < size; at *= 2 {
		if second, err := p.readMeta(at); err == nil && second.pageSize == at {
			p.take(second)
			return p, nil
		}
	}
	return p, err
}

func (p *pageFile) take(m boltMeta) {
	if p.metas++; p.metas == 1 || m.tx > p.meta.tx {
		p.meta, p.pageSize = m, m.pageSize
	}
}

func (p *pageFile) readMeta(at int64) (m boltMeta, err error) {
	var b [pageHeaderSize + metaSize]byte
	if _, err := p.r.ReadAt(b[:], at); err != nil {
		return m, fmt.Errorf("meta page: %w", err)
	}
	raw := b[pageHeaderSize:]
	sum := fnv.New64a()
	sum.Write(raw[:metaSize-8])
	if order.Uint32(raw) != metaMagic || order.Uint64(raw[metaSize-8:]) != sum.Sum64() {
		return m, errors.New("both meta pages are damaged")
	}
	m = boltMeta{
		pageSize: int64(order.Uint32(raw[8:])), root: order.Uint64(raw[16:]), freelist: order.Uint64(raw[32:]),
		high: order.Uint64(raw[40:]), tx: order.Uint64(raw[48:]),
	}
	if m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0 {
		return m, fmt.Errorf("pages of %d bytes", m.pageSize)
	}
	return m, nil
}

// page is one page with what overflows from it, or a bucket within one.
type page struct {
	id       uint64
	flags    uint16
	count    int
	overflow uint32
	data     []byte
}

// read reads a page below a bound.
func (p *pageFile) read(id, high uint64) (pg page, err error) {
	var head [pageHeaderSize]byte
	if id < 2 || id >= high || int64(id) >= p.size/p.pageSize {
		return pg, fmt.Errorf("there is no page %d", id)
	}
	at := int64(id) * p.pageSize
	if _, err := p.r.ReadAt(head[:], at); err != nil {
		return pg, err
	}
	pg = parsePage(head[:])
	span := (int64(pg.overflow) + 1) * p.pageSize
	if pg.id != id || span > p.size-at {
		return pg, fmt.Errorf("page %d is damaged", id)
	}
	pg.data = make([]byte, span)
	_, err = p.r.ReadAt(pg.data, at)
	return pg, err
}

func parsePage(b []byte) page {
	return page{id: order.Uint64(b), flags: order.Uint16(b[8:]), count: int(order.Uint16(b[10:])), overflow: order.Uint32(b[12:]), data: b}
}

// element is what a page has in one place.
type element struct {
	key, value []byte
	bucket     bool
	child      uint64 // of a branch
}

// element reads the i-th element of a branch or a leaf, or fails where it is not all
// within the page.
func (pg *page) element(i int) (e element, err error) {
	at := pageHeaderSize + i*elementSize
	if at+elementSize > len(pg.data) {
		return e, fmt.Errorf("page %d has no room for %d elements", pg.id, pg.count)
	}
	raw := pg.data[at : at+elementSize]
	pos, key, value := uint64(order.Uint32(raw)), uint64(order.Uint32(raw[4:])), uint64(0)
	if pg.flags == branchFlag {
		e.child = order.Uint64(raw[8:])
	} else {
		e.bucket = order.Uint32(raw) == bucketFlag
		pos, key, value = uint64(order.Uint32(raw[4:])), uint64(order.Uint32(raw[8:])), uint64(order.Uint32(raw[12:]))
	}
	from := uint64(at) + pos
	if from+key+value > uint64(len(pg.data)) || key == 0 {
		return e, fmt.Errorf("element %d of page %d is out of bounds", i, pg.id)
	}
	e.key, e.value = pg.data[from:from+key], pg.data[from+key:from+key+value]
	return e, nil
}

// inline is the page within a small bucket's value.
func (e *element) inline() (page, error) {
	if len(e.value) < bucketSize+pageHeaderSize {
		return page{}, fmt.Errorf("bucket %.20q is cut short", e.key)
	}
	pg := parsePage(e.value[bucketSize:])
	if pg.flags != leafFlag {
		return pg, fmt.Errorf("bucket %.20q is damaged", e.key)
	}
	return pg, nil
}

// root is the page that a bucket begins with; 0 where it is inline.
func (e *element) root() (uint64, error) {
	if len(e.value) < bucketSize {
		return 0, fmt.Errorf("bucket %.20q is cut short", e.key)
	}
	return order.Uint64(e.value), nil
}

// freeIDs reads the list of free pages.
func (p *pageFile) freeIDs() ([]uint64, error) {
	if p.meta.freelist == noFreelist {
		return nil, nil
	}
	pg, err := p.read(p.meta.freelist, p.meta.high)
	if err != nil {
		return nil, err
	}
	count, data := uint64(pg.count), pg.data[pageHeaderSize:]
	if count == 0xFFFF {
		count, data = order.Uint64(data), data[8:]
	}
	if pg.flags != freelistFlag || count > uint64(len(data)/8) {
		return nil, errors.New("the list of free pages is damaged")
	}
	ids := make([]uint64, count)
	for i := range ids {
		if ids[i] = order.Uint64(data[8*i:]); ids[i] < 2 || ids[i] >= p.meta.high {
			return nil, errors.New("the list of free pages names one that is not there")
		}
	}
	if !slices.IsSorted(ids) {
		return nil, errors.New("the list of free pages is out of order")
	}
	return ids, nil
}

// checkFile returns what is wrong with the pages of a data file: nil for an empty one.
// Strict does not put up with one damaged meta page, which a crash of the machine may
// leave, and which takes the file back to before its last commit.
func checkFile(file *os.File, strict bool) error {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	return checkPages(file, info.Size(), strict)
}

func checkPages(r io.ReaderAt, size int64, strict bool) error {
	p, err := openPages(r, size)
	switch {
	case err != nil:
		return err
	case strict && p.metas < 2:
		return errors.New("one of the two meta pages is damaged")
	case p.meta.high > uint64(p.size/p.pageSize):
		return fmt.Errorf("cut short at %d of %d bytes", p.size, int64(p.meta.high)*p.pageSize)
	}
	return p.check()
}
