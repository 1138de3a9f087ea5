package archive

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/foreign"
)

// deadLine is the JSON line of a tombstone or an epoch.
type deadLine struct {
	Kind   string    `json:"kind"` // "tombstone" or "epoch"
	ID     string    `json:"id"`
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until"` // when it can be dropped
	Record []byte    `json:"record"`
}

const (
	lineTombstone = "tombstone"
	lineEpoch     = "epoch"
)

// lines is the sink that makes JSON lines: a perdure.Portable for a session, a
// deadLine for the rest.
type lines struct {
	out     *bufio.Writer
	encoder *json.Encoder
	codec   perdure.Codec
	any     bool // lines so far
}

func newLines(out io.Writer, codec perdure.Codec) *lines {
	l := &lines{out: bufio.NewWriterSize(out, 64<<10), codec: codec}
	l.encoder = json.NewEncoder(l.out)
	l.encoder.SetEscapeHTML(false) // metadata stays as it was stored
	return l
}

func (l *lines) begin(Header) error { return nil }

func (l *lines) add(r *perdure.Record) error {
	l.any = true
	if r.Kind == perdure.KindSession {
		p, err := r.Portable(l.codec)
		if err != nil {
			return fmt.Errorf("session %s: %w", r.ID, err)
		}
		err = l.encoder.Encode(p)
		if _, bad := errors.AsType[*json.MarshalerError](err); bad { // its text may have metadata in it
			return fmt.Errorf("%w: session %s holds metadata that is not JSON", perdure.ErrFormat, r.ID)
		}
		return err
	}
	line := deadLine{Kind: lineTombstone, ID: r.ID, Reason: r.Reason.String(), Until: r.Horizon.Time(), Record: r.Append(nil)}
	if r.Kind == perdure.KindEpoch {
		line.Kind = lineEpoch
	}
	return l.encoder.Encode(line)
}

// end leaves an empty line where there is no other: a file of no bytes would be one
// that was cut short.
func (l *lines) end(footer Footer) (Footer, error) {
	if !l.any {
		l.out.WriteByte('\n') // an error is kept for Flush
	}
	return footer, l.out.Flush()
}

// maxLine bounds a line, and a session in a backup of puppeteer-mcp.
const maxLine = 64 << 20

// batchTarget is about how many bytes of text make a batch.
const batchTarget = frameTarget

// lineReader reads JSON lines.
type lineReader struct {
	scanner *bufio.Scanner
	codec   perdure.Codec
	number  int64
	offset  int64
}

func newLineReader(in io.Reader, codec perdure.Codec) *lineReader {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 64<<10), maxLine)
	return &lineReader{scanner: scanner, codec: codec}
}

func (l *lineReader) next(part) (b batch, err error) {
	for size := 0; size < batchTarget; {
		if !l.scanner.Scan() {
			break
		}
		line := bytes.TrimSpace(l.scanner.Bytes())
		l.number++
		size += len(line) + 1
		l.offset += int64(len(l.scanner.Bytes())) + 1
		if len(line) == 0 {
			continue
		}
		r, id, err := readLine(line, l.codec)
		if err != nil {
			b.refused = append(b.refused, Refused{ID: id, Line: l.number, Reason: err.Error()})
			continue
		}
		b.records = append(b.records, r)
	}
	b.end = l.offset
	if err := l.scanner.Err(); err != nil {
		return b, &DamageError{Problem: fmt.Sprintf("line %d cannot be read", l.number+1), Offset: l.offset, Err: err}
	}
	if len(b.records) == 0 && len(b.refused) == 0 {
		return b, io.EOF
	}
	return b, nil
}

func (l *lineReader) close() {}

// readLine is the record in a line, and as much as is known of its id.
func readLine(line []byte, codec perdure.Codec) (r perdure.Record, id string, err error) {
	var dead deadLine
	if err := foreign.Unmarshal(line, &struct {
		Kind *string `json:"kind"`
		ID   *string `json:"id"`
	}{&dead.Kind, &dead.ID}); err != nil {
		return r, "", err
	}
	if dead.Kind == "" {
		var p perdure.Portable
		if err := foreign.Unmarshal(line, &p); err != nil {
			return r, dead.ID, err
		}
		r, err = p.Record(codec)
		return r, dead.ID, err
	}
	if err := foreign.Unmarshal(line, &dead); err != nil {
		return r, dead.ID, err
	}
	r, err = perdure.DecodeRecord(dead.ID, string(dead.Record))
	if err != nil {
		return r, dead.ID, err
	}
	if want := map[perdure.Kind]string{perdure.KindTombstone: lineTombstone, perdure.KindEpoch: lineEpoch}[r.Kind]; want != dead.Kind {
		return r, dead.ID, invalid("kind", "is not that of the record")
	}
	return r, dead.ID, nil
}
