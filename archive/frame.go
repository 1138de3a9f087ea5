package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// The layout of an archive: magic, format, frames. Numbers are big-endian.
// docs/archive.md is the reference.
const (
	magic         = "PERDURE\x1a"
	archiveFormat = 1
	preambleSize  = len(magic) + 1

	// marker begins a frame, for those who look for the next one.
	marker = "\xf5PdF"

	offKind     = 4
	offArchive  = 5
	offNumber   = 13
	offRecords  = 17
	offSize     = 21
	offStored   = 25
	offChecksum = 29
	offCRC      = offChecksum + sha256.Size
	headSize    = offCRC + crc32.Size

	// frameTarget is about how many bytes of records a frame has.
	frameTarget = 256 << 10
	// maxFrame bounds the content of a frame: more than the largest record.
	maxFrame = 64 << 20
)

// kind says what a frame holds.
type kind byte

const (
	kindHeader   kind = 'H' // a Header in JSON: the first frame
	kindDead     kind = 'D' // tombstones and epochs
	kindSessions kind = 'S'
	kindFooter   kind = 'E' // a Footer in JSON: the last frame
)

// head is what a frame says of itself.
type head struct {
	kind     kind
	archive  [8]byte // drawn at random for each archive
	number   uint32  // of the frame in the archive, from 0
	records  uint32
	size     uint32 // of the content
	stored   uint32 // of the content as it lies in the file, compressed
	checksum [sha256.Size]byte
}

// appendFrame adds the frame with its compressed content. It fills in the
// checksum.
func appendFrame(b []byte, h *head, compressed []byte) []byte {
	start := len(b)
	b = append(b, marker...)
	b = append(b, byte(h.kind))
	b = append(b, h.archive[:]...)
	for _, n := range []uint32{h.number, h.records, h.size, h.stored} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	h.checksum = checksumOf(b[start:], compressed)
	b = append(b, h.checksum[:]...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
	return append(b, compressed...)
}

// checksumOf is over what the head says and the content as it is stored.
func checksumOf(head, compressed []byte) (sum [sha256.Size]byte) {
	hash := sha256.New()
	hash.Write(head[:offChecksum])
	hash.Write(compressed)
	return [sha256.Size]byte(hash.Sum(sum[:0]))
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// readHead reads the first headSize bytes of a frame.
func readHead(b []byte) (h head, problem string) {
	switch {
	case string(b[:len(marker)]) != marker:
		return h, "no frame begins here"
	case binary.BigEndian.Uint32(b[offCRC:]) != crc32.Checksum(b[:offCRC], castagnoli()):
		return h, "the head of a frame was altered"
	}
	h = head{
		kind: kind(b[offKind]), archive: [8]byte(b[offArchive:]), number: binary.BigEndian.Uint32(b[offNumber:]),
		records: binary.BigEndian.Uint32(b[offRecords:]), size: binary.BigEndian.Uint32(b[offSize:]),
		stored: binary.BigEndian.Uint32(b[offStored:]), checksum: [sha256.Size]byte(b[offChecksum:]),
	}
	if h.size > maxFrame || h.stored > maxFrame+1<<20 {
		return h, fmt.Sprintf("a frame claims to hold %d bytes; %d are allowed", max(h.size, h.stored), maxFrame)
	}
	return h, ""
}

// content is what a frame holds whose checksum is right.
func (h *head) content(frame []byte, decoder *zstd.Decoder) (content []byte, problem string) {
	content, err := decoder.DecodeAll(frame[headSize:], nil)
	if err != nil || len(content) != int(h.size) {
		return nil, fmt.Sprintf("frame %d does not hold what it says", h.number)
	}
	return content, ""
}

func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame), zstd.WithDecoderLowmem(true))
}

func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(frameTarget))
}
