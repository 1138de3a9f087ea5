package archive

import (
	"context"
	"io"
	"strings"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/printable"
)

// Report is what a file says of itself, and what was found in it.
type Report struct {
	Format Format `json:"format,omitempty"`
	// Size is that of the file in bytes.
	Size int64 `json:"size"`
	// Encrypted says that it is an age file, and Recipients for which kinds of key,
	// where no identity opened it.
	Encrypted  bool     `json:"encrypted"`
	Recipients []string `json:"recipients,omitempty"`
	// Header and Footer are those of an archive, as far as they are there.
	Header *Header `json:"header,omitempty"`
	Footer *Footer `json:"footer,omitempty"`
	// Found counts the records that can be restored.
	Found Totals `json:"found"`
	// Refused counts those that cannot, and Refusals has the first hundred.
	Refused  int64     `json:"refused"`
	Refusals []Refused `json:"refusals,omitempty"`
	// Loss is what a salvage of an archive could not save.
	Loss *Loss `json:"loss,omitempty"`
}

// Refused is a record that cannot be restored.
type Refused struct {
	// ID is its id, as far as that is known, fit for print.
	ID string `json:"id,omitempty"`
	// Line is that in JSON lines, or which session of a backup of puppeteer-mcp,
	// from 1. 0 in an archive.
	Line int64 `json:"line,omitempty"`
	// Reason has nothing of what the session holds.
	Reason string `json:"reason"`
}

// maxRefusals bounds those that are kept; all are counted.
const maxRefusals = 100

// refusals is a bounded list.
type refusals struct {
	count int64
	first []Refused
}

func (l *refusals) add(refused ...Refused) {
	for _, r := range refused {
		if l.count++; len(l.first) < maxRefusals {
			r.ID = strings.Clone(printable.Clip(r.ID, perdure.MaxIDLen))
			r.Reason = strings.Clone(r.Reason)
			l.first = append(l.first, r)
		}
	}
}

// Inspect reads what the file says of itself. Of an archive that is its header
// and footer; the records of other files are counted. With a *DamageError it
// returns what it has found by then.
func (f *File) Inspect(ctx context.Context) (Report, error) {
	r := f.report()
	if f.locked != nil {
		return r, nil
	}
	p := partNone
	if f.format != FormatArchive {
		p = partAll
	}
	return f.look(ctx, p, nil)
}

// Verify reads all of the file as a restore would, without a store. It returns a
// *DamageError for a file that a restore refuses.
func (f *File) Verify(ctx context.Context, progress func(Progress)) (Report, error) {
	r, err := f.look(ctx, partAll, progress)
	if err == nil && f.format == FormatLines && r.Refused > 0 && !f.options.Salvage {
		first := r.Refusals[0]
		err = damaged(-1, "%d lines cannot be restored; line %d: %s", r.Refused, first.Line, first.Reason)
	}
	if err == nil {
		f.verified = &r
	}
	return r, err
}

func (f *File) report() Report {
	return Report{Format: f.format, Size: f.size, Encrypted: f.key != nil || f.locked != nil, Recipients: f.recipients}
}

// look makes one pass.
func (f *File) look(ctx context.Context, p part, progress func(Progress)) (Report, error) {
	report := f.report()
	in, err := f.reader()
	if err != nil {
		return report, err
	}
	defer in.close()
	var refused refusals
	for err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		var b batch
		b, err = in.next(p)
		for i := range b.records {
			report.Found.count(&b.records[i])
		}
		refused.add(b.refused...)
		if progress != nil {
			progress(Progress{Stage: "verify", Records: report.Found.Records(), Total: total(in), Bytes: b.end, Failed: refused.count})
		}
	}
	report.Refused, report.Refusals = refused.count, refused.first
	if frames, ok := in.(*frameReader); ok {
		report.Header, report.Footer = frames.header, frames.footer
		if f.options.Salvage {
			report.Loss = &frames.loss
		}
	}
	if err == io.EOF {
		err = nil
	}
	return report, err
}

// total is about how many records a file has; 0 where it does not say.
func total(in reader) int64 {
	frames, ok := in.(*frameReader)
	if !ok || frames.header == nil {
		return 0
	}
	return frames.header.Sessions + frames.header.Tombstones
}
