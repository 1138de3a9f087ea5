package archive

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/perdure/perdure"
)

// FormatPuppeteer is a backup of puppeteer-mcp: a file that is read alone.
const FormatPuppeteer Format = "puppeteer-mcp"

// OpenOptions say how to read a file. The zero value works.
type OpenOptions struct {
	// Identities are tried on an encrypted file. Defaults to none.
	Identities []age.Identity
	// Salvage reads what is whole in a damaged file and counts the rest. Defaults
	// to refusing the file.
	Salvage bool
	// Codec makes the bodies of sessions that are not from an archive. Defaults to
	// plain bodies.
	Codec perdure.Codec
}

// File is a file of sessions: an archive, JSON lines or a backup of
// puppeteer-mcp, encrypted or not. It is not safe for concurrent use.
type File struct {
	in      io.ReadSeeker
	size    int64
	options OpenOptions
	format  Format
	// key opens an encrypted file; locked says why there is none.
	key        age.Identity
	locked     error
	recipients []string
	verified   *Report // by Verify
}

const ageIntro = "age-encryption.org/v1\n"

// Open looks what the file is. It returns an ErrDamaged for one that is no file
// of sessions, and what reading returns. A file that the identities do not open
// can be inspected; all else is then an ErrLocked.
//
// The caller closes in, after the File is done with.
func Open(in io.ReadSeeker, o OpenOptions) (*File, error) {
	f := &File{in: in, options: o}
	var err error
	if f.size, err = in.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	intro := make([]byte, len(ageIntro))
	n, err := io.ReadFull(in, intro)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if string(intro[:n]) == ageIntro {
		if err := f.unlock(); err != nil {
			return nil, err
		}
	}
	if f.locked == nil {
		f.format, err = f.detect()
	}
	return f, err
}

// unlock finds the key of an encrypted file, once: a passphrase takes its time.
func (f *File) unlock() error {
	if _, err := f.in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	header, err := age.ExtractHeader(f.in)
	if err != nil {
		return &DamageError{Problem: "it is encrypted, and how is no longer to be read", Offset: -1, Err: err}
	}
	key, err := age.DecryptHeader(header, append(slices.Clone(f.options.Identities), nobody{})...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		f.recipients = none.StanzaTypes
		f.locked = fmt.Errorf("%w to %s, and no identity that was given opens it", ErrLocked, describeRecipients(none.StanzaTypes))
	case err != nil:
		return &DamageError{Problem: "it is encrypted, and how was altered", Offset: -1, Err: err}
	default:
		f.key = age.NewInjectedFileKeyIdentity(key)
	}
	return nil
}

// nobody is an identity that opens nothing: with it age says whom a file is for.
type nobody struct{}

func (nobody) Unwrap([]*age.Stanza) ([]byte, error) { return nil, age.ErrIncorrectIdentity }

func describeRecipients(stanzas []string) string {
	if slices.Contains(stanzas, "scrypt") {
		return "a passphrase"
	}
	return fmt.Sprintf("%d key(s) (%s)", len(stanzas), strings.Join(slices.Compact(slices.Sorted(slices.Values(stanzas))), ", "))
}

// stream is the content of the file from its start, decrypted.
func (f *File) stream() (io.Reader, error) {
	if f.locked != nil {
		return nil, f.locked
	}
	if _, err := f.in.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(f.in, 64<<10)
	if f.key == nil {
		return in, nil
	}
	if plain, ok := f.decryptAround(); ok {
		return plain, nil
	}
	plain, err := age.Decrypt(in, f.key)
	if err != nil {
		return nil, &DamageError{Problem: "it cannot be decrypted", Offset: -1, Err: err}
	}
	return plain, nil
}

// detect tells the formats apart by how they begin.
func (f *File) detect() (Format, error) {
	in, err := f.stream()
	if err != nil {
		return "", err
	}
	peek := bufio.NewReaderSize(in, 4096)
	start, err := peek.Peek(len(magic))
	text := bytes.TrimLeft(start, " \t\r\n")
	switch {
	case string(start) == magic:
		return FormatArchive, nil
	case bytes.HasPrefix(text, []byte("[")):
		return FormatPuppeteer, nil
	case bytes.HasPrefix(text, []byte("{")):
		if format := sniff(peek); format != "" {
			return format, nil
		}
	case len(start) > 0 && len(text) == 0 && err == io.EOF:
		return FormatLines, nil // of an empty store: see lines.end
	case f.options.Salvage:
		return FormatArchive, nil // frames can be found without a beginning
	case len(start) == 0 && err == io.EOF:
		return "", damaged(0, "it is empty")
	case err != nil && err != io.EOF:
		return "", &DamageError{Problem: "it cannot be read", Offset: 0, Err: err}
	}
	return "", damaged(0, "it is neither an archive, nor sessions as JSON lines, nor a backup of puppeteer-mcp")
}

// sniff reads the first keys of an object.
func sniff(in io.Reader) Format {
	decoder := json.NewDecoder(&allowance{in: in, left: maxLine})
	if _, err := decoder.Token(); err != nil {
		return ""
	}
	for decoder.More() {
		key, err := decoder.Token()
		switch key {
		case "id", "kind", "userId":
			return FormatLines
		case "instanceId", "storeType", "sessionCount", "data":
			return FormatPuppeteer
		}
		var ignored json.RawMessage
		if err != nil || decoder.Decode(&ignored) != nil {
			return ""
		}
	}
	return ""
}

// reader begins a pass over the file.
func (f *File) reader() (reader, error) {
	in, err := f.stream()
	if err != nil {
		return nil, err
	}
	switch f.format {
	case FormatLines:
		return newLineReader(in, f.options.Codec), nil
	case FormatPuppeteer:
		return newPuppeteerReader(in, f.options.Codec, f.options.Salvage), nil
	}
	return newFrameReader(in, f.options.Salvage)
}

// Format is what kind of file it is; empty where that cannot be known without a
// key.
func (f *File) Format() Format { return f.format }

// Spool copies what cannot be read twice, such as a pipe, to a temporary file,
// which is the owner's alone and gone when remove is called.
func Spool(in io.Reader) (file *os.File, remove func(), err error) {
	if file, err = os.CreateTemp("", "perdure-restore-*"); err != nil {
		return nil, nil, err
	}
	remove = func() {
		file.Close()
		os.Remove(file.Name())
	}
	if _, err := io.Copy(file, in); err != nil {
		remove()
		return nil, nil, fmt.Errorf("keeping what is to be restored in %s: %w", os.TempDir(), err)
	}
	return file, remove, nil
}
