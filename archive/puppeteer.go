package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/foreign"
)

// puppeteerReader reads what puppeteer-mcp wrote: its sessions as an array, or an
// object with that array as "data". It holds one session at a time.
type puppeteerReader struct {
	in      *allowance
	decoder *json.Decoder
	codec   perdure.Codec
	salvage bool

	state  func() error // what comes before the next session; nil in the array
	object bool         // whether the array lies in an object
	found  bool         // whether there was an array
	done   bool
	index  int64  // of the next session
	count  *int64 // how many there should be, if it says
}

func newPuppeteerReader(in io.Reader, codec perdure.Codec, salvage bool) *puppeteerReader {
	p := &puppeteerReader{in: &allowance{in: in}, codec: codec, salvage: salvage}
	p.decoder = json.NewDecoder(p.in)
	p.state = p.begin
	return p
}

func (p *puppeteerReader) close() {}

func (p *puppeteerReader) next(part) (b batch, err error) {
	defer func() { b.end = p.decoder.InputOffset() }()
	start := p.decoder.InputOffset()
	for p.decoder.InputOffset()-start < batchTarget {
		err := p.step(&b)
		switch {
		case err == io.EOF && len(b.records)+len(b.refused) > 0:
			p.done = true
			return b, nil
		case err == io.EOF:
			return b, err
		case err != nil && p.salvage && p.found:
			b.refused = append(b.refused, Refused{Line: p.index + 1, Reason: "the file is damaged from here on: " + p.damage(err).Error()})
			p.done = true
			return b, nil
		case err != nil:
			return b, p.damage(err)
		}
	}
	return b, nil
}

// step reads the next session, or what lies between.
func (p *puppeteerReader) step(b *batch) error {
	switch p.in.left = maxLine; {
	case p.done:
		return io.EOF
	case p.state != nil:
		return p.state()
	case !p.decoder.More():
		return p.endArray()
	}
	var raw json.RawMessage
	if err := p.decoder.Decode(&raw); err != nil {
		return cutShort(err)
	}
	p.index++
	session, err := foreign.Puppeteer{}.Decode("", raw, time.Time{})
	var r perdure.Record
	if err == nil {
		r, err = session.Record(p.codec)
	}
	if err != nil {
		b.refused = append(b.refused, Refused{ID: session.ID, Line: p.index, Reason: err.Error()})
		return nil
	}
	b.records = append(b.records, r)
	return nil
}

func (p *puppeteerReader) damage(err error) error {
	var already *DamageError
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &already):
		return err
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return damaged(p.decoder.InputOffset(), "it is cut short")
	case errors.As(err, &syntax), errors.As(err, &kind): // which quote what they met
		return damaged(p.decoder.InputOffset(), "it is not JSON as puppeteer-mcp writes it")
	}
	return &DamageError{Problem: "it is not JSON as puppeteer-mcp writes it", Offset: p.decoder.InputOffset(), Err: err}
}

func (p *puppeteerReader) begin() error {
	t, err := p.decoder.Token()
	switch {
	case err != nil:
		return cutShort(err)
	case t == json.Delim('['):
		p.found, p.state = true, nil
		return nil
	case t != json.Delim('{'):
		return damaged(0, "it begins with neither an object nor an array")
	}
	p.object, p.state = true, p.key
	return nil
}

// key reads one key of the object, and its value unless that is the sessions.
func (p *puppeteerReader) key() error {
	t, err := p.decoder.Token()
	if err != nil {
		return cutShort(err)
	}
	switch t {
	case json.Delim('}'):
		if p.state = p.tail; !p.found {
			return damaged(p.decoder.InputOffset(), `it has no "data", the array of sessions`)
		}
		return nil
	case "data":
		if t, err = p.decoder.Token(); err != nil {
			return cutShort(err)
		}
		if t != json.Delim('[') || p.found {
			return damaged(p.decoder.InputOffset(), `its "data" is not one array`)
		}
		p.found, p.state = true, nil
		return nil
	case "sessionCount":
		return cutShort(p.decoder.Decode(&p.count))
	}
	var ignored json.RawMessage
	return cutShort(p.decoder.Decode(&ignored))
}

func (p *puppeteerReader) endArray() error {
	if _, err := p.decoder.Token(); err != nil {
		return cutShort(err)
	}
	if p.state = p.tail; p.object {
		p.state = p.key
	}
	return nil
}

// tail is what follows the value: nothing.
func (p *puppeteerReader) tail() error {
	switch _, err := p.decoder.Token(); {
	case err == nil:
		return damaged(p.decoder.InputOffset(), "something follows its end")
	case err != io.EOF:
		return err
	case p.count != nil && *p.count != p.index:
		return damaged(p.decoder.InputOffset(), "it has %d sessions and says that it has %d", p.index, *p.count)
	}
	return io.EOF
}

// cutShort keeps the end of the file apart from that of the sessions.
func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// allowance bounds how much is read for one value.
type allowance struct {
	in   io.Reader
	left int
}

func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, fmt.Errorf("a value has more than %d bytes", maxLine)
	}
	n, err := a.in.Read(p[:min(len(p), a.left)])
	a.left -= n
	return n, err
}
