package archive

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/perdure/perdure"
)

// sink takes what a backup finds.
type sink interface {
	begin(h Header) error
	add(r *perdure.Record) error
	// end returns the footer with what the file says of itself besides.
	end(f Footer) (Footer, error)
}

// frames is the sink that makes an archive.
type frames struct {
	out     io.Writer
	encoder *zstd.Encoder
	id      [8]byte
	number  uint32
	digest  hash.Hash
	dead    filling
	live    filling
	packed  []byte // the content, compressed
	frame   []byte
}

// filling is the content of a frame in the making.
type filling struct {
	kind    kind
	content []byte
	records uint32
}

func newFrames(out io.Writer) (*frames, error) {
	encoder, err := newEncoder()
	if err != nil {
		return nil, err
	}
	f := &frames{out: out, encoder: encoder, digest: sha256.New(), dead: filling{kind: kindDead}, live: filling{kind: kindSessions}}
	rand.Read(f.id[:]) // never fails: it ends the program instead
	return f, nil
}

func (f *frames) begin(h Header) error {
	content, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f.out, magic+string(rune(archiveFormat))); err != nil {
		return err
	}
	return f.write(&filling{kind: kindHeader, content: content})
}

// add keeps tombstones and epochs in frames of their own, so that a restore can
// read them first.
func (f *frames) add(r *perdure.Record) error {
	to := &f.dead
	if r.Kind == perdure.KindSession {
		to = &f.live
	}
	if size := len(to.content) + r.EncodedSize(); size > frameTarget && to.records > 0 {
		if err := f.write(to); err != nil {
			return err
		}
	}
	to.content = appendRecord(to.content, r)
	to.records++
	return nil
}

func (f *frames) end(footer Footer) (Footer, error) {
	for _, rest := range []*filling{&f.dead, &f.live} {
		if rest.records == 0 {
			continue
		}
		if err := f.write(rest); err != nil {
			return footer, err
		}
	}
	footer.Frames, footer.Digest = f.number, hex.EncodeToString(f.digest.Sum(nil))
	content, err := json.Marshal(footer)
	if err != nil {
		return footer, err
	}
	return footer, f.write(&filling{kind: kindFooter, content: content})
}

// write writes a frame and empties the filling.
func (f *frames) write(c *filling) error {
	f.packed = f.encoder.EncodeAll(c.content, f.packed[:0])
	h := head{
		kind: c.kind, archive: f.id, number: f.number, records: c.records,
		size: uint32(len(c.content)), stored: uint32(len(f.packed)),
	}
	f.frame = appendFrame(f.frame[:0], &h, f.packed)
	f.digest.Write(h.checksum[:])
	f.number++
	c.content, c.records = c.content[:0], 0
	_, err := f.out.Write(f.frame)
	return err
}
