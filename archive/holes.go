package archive

import (
	"io"

	"filippo.io/age"
)

// chunkSize is what age encrypts and authenticates at a time.
const chunkSize = 64 << 10

// holes reads an encrypted file with zeroes in the place of chunks that cannot be
// decrypted: what lies behind them can still be salvaged.
type holes struct {
	plain  io.ReaderAt
	size   int64
	offset int64
}

// decryptAround opens an encrypted file for a salvage. It is no help where the
// end is missing: how age numbers its chunks then does not add up.
func (f *File) decryptAround() (io.Reader, bool) {
	in, ok := f.in.(io.ReaderAt)
	if !ok || !f.options.Salvage {
		return nil, false
	}
	plain, size, err := age.DecryptReaderAt(in, f.size, f.key)
	return &holes{plain: plain, size: size}, err == nil
}

func (h *holes) Read(p []byte) (int, error) {
	if h.offset >= h.size {
		return 0, io.EOF
	}
	end := min(h.size, (h.offset/chunkSize+1)*chunkSize)
	p = p[:min(int64(len(p)), end-h.offset)]
	if n, err := h.plain.ReadAt(p, h.offset); err != nil && n < len(p) {
		clear(p)
	}
	h.offset += int64(len(p))
	return len(p), nil
}
