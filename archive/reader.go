package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/perdure/perdure"
)

// part is what a pass over a file is for.
type part uint8

const (
	partAll      part = iota // to look at everything
	partDead                 // to apply tombstones and epochs
	partSessions             // to apply sessions
	partNone                 // to see what the file says of itself
)

// has reports whether the pass is for such frames.
func (p part) has(k kind) bool {
	return p == partAll || p == partDead && k == kindDead || p == partSessions && k == kindSessions
}

// batch is some of a file's records.
type batch struct {
	records []perdure.Record
	refused []Refused
	end     int64 // offset after them
}

// reader goes through a file once.
type reader interface {
	// next returns records, at least those of the part; io.EOF at the end, and a
	// *DamageError.
	next(p part) (batch, error)
	close()
}

// Loss is what a salvage could not save.
type Loss struct {
	// Frames that are missing or damaged. Where the end of the file is missing,
	// nobody knows how many more there were.
	Frames int64 `json:"frames"`
	// Bytes that belong to no frame that verifies.
	Bytes int64 `json:"bytes"`
	// Truncated says that the end of the file is missing.
	Truncated bool `json:"truncated"`
}

// frameReader reads an archive.
type frameReader struct {
	window  *window
	decoder *zstd.Decoder
	salvage bool

	begun  bool
	id     [8]byte
	number uint32 // of the next frame; with salvage, one more than the greatest seen
	seen   map[uint32]bool
	digest hash.Hash
	totals Totals
	header *Header
	footer *Footer
	loss   Loss
}

func newFrameReader(in io.Reader, salvage bool) (*frameReader, error) {
	decoder, err := newDecoder()
	if err != nil {
		return nil, err
	}
	return &frameReader{window: &window{in: in}, decoder: decoder, salvage: salvage, digest: sha256.New(), seen: map[uint32]bool{}}, nil
}

func (f *frameReader) close() { f.decoder.Close() }

func (f *frameReader) next(p part) (batch, error) {
	if !f.begun {
		if err := f.preamble(); err != nil {
			return batch{}, err
		}
	}
	for {
		h, frame, err := f.frame()
		if err != nil {
			return batch{}, err
		}
		b, err := f.take(p, &h, frame)
		b.end = f.window.offset
		switch {
		case err != nil && f.salvage:
			f.loss.Bytes += int64(len(frame)) // whole, and yet of no use
		case err != nil:
			return b, err
		case len(b.records) > 0:
			return b, nil
		}
	}
}

func (f *frameReader) preamble() error {
	f.begun = true
	ok := f.window.fill(preambleSize)
	b := f.window.bytes()
	switch {
	case f.salvage && (!ok || string(b[:len(magic)]) != magic):
		return nil // frames speak for themselves
	case f.salvage:
	case !ok || string(b[:len(magic)]) != magic:
		return damaged(0, "it does not begin as an archive does")
	case b[len(magic)] != archiveFormat:
		return damaged(int64(len(magic)), "it has format %d and this build reads format %d; restore it with the release that wrote it, or a later one", b[len(magic)], archiveFormat)
	}
	f.window.skip(preambleSize)
	return nil
}

// frame is the next frame whose checksum is right. At the end it is io.EOF, or
// what is wrong with the end.
func (f *frameReader) frame() (head, []byte, error) {
	for {
		h, frame, problem := f.attempt()
		if problem == "" && frame != nil {
			return h, frame, nil
		}
		if f.window.err != nil && f.window.err != io.EOF && !f.salvage {
			return h, nil, &DamageError{Problem: "it cannot be read on", Offset: f.window.offset, Err: f.window.err}
		}
		if problem == "" {
			return h, nil, f.ending()
		}
		if !f.salvage {
			return h, nil, damaged(f.window.offset, "%s", problem)
		}
		f.seek()
	}
}

// attempt reads the frame that should begin here; nil is the end of the file.
func (f *frameReader) attempt() (h head, frame []byte, problem string) {
	w := f.window
	if !w.fill(headSize) {
		if len(w.bytes()) == 0 {
			return h, nil, ""
		}
		return h, nil, "it is cut short"
	}
	if h, problem = readHead(w.bytes()); problem != "" {
		return h, nil, problem
	}
	whole := headSize + int(h.stored)
	if !w.fill(whole) {
		return h, nil, "it is cut short"
	}
	frame = w.bytes()[:whole]
	if checksumOf(frame, frame[headSize:]) != h.checksum {
		return h, nil, fmt.Sprintf("frame %d was altered", h.number)
	}
	w.skip(whole)
	return h, frame, ""
}

// seek goes on to where the next frame may begin.
func (f *frameReader) seek() {
	w := f.window
	for lost := 1; ; lost = max(1, len(w.bytes())-len(marker)+1) {
		f.loss.Bytes += int64(min(lost, len(w.bytes())))
		w.skip(min(lost, len(w.bytes())))
		w.fill(64 << 10)
		if i := bytes.Index(w.bytes(), []byte(marker)); i >= 0 {
			f.loss.Bytes += int64(i)
			w.skip(i)
			return
		}
		if len(w.bytes()) < len(marker) {
			f.loss.Bytes += int64(len(w.bytes()))
			w.skip(len(w.bytes()))
			return
		}
	}
}

// ending is the error of the end of the file: io.EOF after a footer.
func (f *frameReader) ending() error {
	switch {
	case f.footer != nil && f.salvage:
		f.loss.Frames = max(0, int64(f.footer.Frames)+1-int64(len(f.seen)))
	case f.footer != nil:
	case !f.salvage:
		return damaged(f.window.offset, "it is cut short: its last frame is missing")
	case len(f.seen) == 0:
		return damaged(0, "no part of it is an archive")
	default:
		f.loss.Truncated = true
		f.loss.Frames = int64(f.number) - int64(len(f.seen))
	}
	return io.EOF
}

// take reads a frame.
func (f *frameReader) take(p part, h *head, frame []byte) (b batch, err error) {
	if err := f.place(h); err != nil {
		return b, err
	}
	if h.kind != kindFooter {
		f.digest.Write(h.checksum[:])
	}
	if h.kind == kindSessions && !p.has(kindSessions) || h.kind == kindDead && !p.has(kindDead) {
		return b, nil
	}
	content, problem := h.content(frame, f.decoder)
	if problem != "" {
		delete(f.seen, h.number)
		return b, damaged(f.window.offset-int64(len(frame)), "%s", problem)
	}
	switch h.kind {
	case kindHeader:
		var header Header
		if header, err = readHeader(content); err == nil {
			f.header = &header
		}
	case kindFooter:
		err = f.conclude(p, content, h)
	case kindSessions, kindDead:
		b.records, err = readRecords(content, h.records, h.kind)
		for i := range b.records {
			f.totals.count(&b.records[i])
		}
	default:
		err = fmt.Errorf("%w: kind %q", perdure.ErrFormat, h.kind)
	}
	if err != nil {
		delete(f.seen, h.number)
		return batch{}, &DamageError{Problem: fmt.Sprintf("frame %d makes no sense", h.number), Offset: f.window.offset - int64(len(frame)), Err: err}
	}
	return b, nil
}

// place checks that the frame is where it belongs.
func (f *frameReader) place(h *head) error {
	at := f.window.offset - int64(headSize) - int64(h.stored)
	if len(f.seen) == 0 {
		f.id = h.archive
	}
	switch {
	case h.archive != f.id:
		return damaged(at, "a frame of another archive lies in it")
	case f.salvage && f.seen[h.number]:
		return damaged(at, "frame %d is in it twice", h.number)
	case f.salvage:
	case f.footer != nil:
		return damaged(at, "something follows its last frame")
	case h.number != f.number:
		return damaged(at, "frame %d lies where frame %d belongs", h.number, f.number)
	case (h.kind == kindHeader) != (h.number == 0):
		return damaged(at, "its header is missing")
	}
	f.seen[h.number] = true
	f.number = max(f.number, h.number+1)
	return nil
}

// conclude checks the footer.
func (f *frameReader) conclude(p part, content []byte, h *head) error {
	footer, err := readFooter(content)
	if err != nil {
		return err
	}
	if !f.salvage {
		have := f.totals
		switch {
		case footer.Frames != h.number:
			return fmt.Errorf("%d frames came before it and there should be %d", h.number, footer.Frames)
		case footer.Digest != hex.EncodeToString(f.digest.Sum(nil)):
			return fmt.Errorf("the digest is not that of the frames before it")
		case p == partAll && (have.Sessions != footer.Sessions || have.Tombstones != footer.Tombstones || have.Epochs != footer.Epochs):
			return fmt.Errorf("%d records came before it and there should be %d", have.Records(), footer.Records())
		}
	}
	f.footer = &footer
	return nil
}
