package faultproxy

import (
	"slices"
	"strings"
	"testing"
)

// split cuts a stream into replies, given to the scanner in pieces of a size.
func split(stream string, size int) (parts []string, s scanner) {
	var part strings.Builder
	for piece := range slices.Chunk([]byte(stream), size) {
		for len(piece) > 0 {
			n := s.advance(piece)
			part.Write(piece[:n])
			piece = piece[n:]
			if s.between() {
				parts = append(parts, part.String())
				part.Reset()
			}
		}
	}
	return parts, s
}

func TestScannerFindsReplies(t *testing.T) {
	replies := []string{
		"+OK\r\n",
		"-ERR unknown command 'x', with args beginning with: 'a rather long text'\r\n",
		":12\r\n",
		"$5\r\nhel\r\n\r\n",
		"$0\r\n\r\n",
		"$-1\r\n",
		"*-1\r\n",
		"*0\r\n",
		"*3\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n+x\r\n",
		"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#t\r\n",
		"~2\r\n,1.5\r\n(12345678901234567890123\r\n",
		"|1\r\n+ttl\r\n:3600\r\n$5\r\nvalue\r\n",
		">2\r\n+invalidate\r\n*1\r\n$3\r\nkey\r\n",
		"=7\r\ntxt:abc\r\n",
		"!5\r\nERR x\r\n",
		"_\r\n",
	}
	stream := strings.Join(replies, "")
	for size := 1; size <= len(stream); size++ {
		got, s := split(stream, size)
		if s.opaque || !slices.Equal(got, replies) {
			t.Fatalf("in pieces of %d: got %q (opaque: %v), want %q", size, got, s.opaque, replies)
		}
	}
}

func TestScannerGivesUp(t *testing.T) {
	for _, stream := range []string{
		"\x16\x03\x01\x02\x00",
		"HTTP/1.1 200 OK\r\n",
		"+OK\r\nnonsense\r\n",
		"$five\r\nhello\r\n",
		"*9223372036854775807\r\n",
		"*" + strings.Repeat("9", 100) + "\r\n",
	} {
		for size := 1; size <= len(stream); size++ {
			if _, s := split(stream, size); !s.opaque || !s.between() {
				t.Fatalf("%q in pieces of %d is taken for RESP", stream, size)
			}
		}
	}
}

func FuzzScanner(f *testing.F) {
	f.Add("*2\r\n$1\r\na\r\n:1\r\n>1\r\n+x\r\n", uint8(3))
	f.Add("*9223372036854775807\r\n*9223372036854775807\r\n", uint8(1))
	f.Add("%-1\r\n|9\r\n$-1\r\n", uint8(1))
	f.Fuzz(func(t *testing.T, stream string, size uint8) {
		whole, _ := split(stream, max(1, len(stream)))
		pieces, s := split(stream, int(size)+1)
		if !s.opaque && !slices.Equal(whole, pieces) {
			t.Fatalf("whole: %q, in pieces: %q", whole, pieces)
		}
	})
}
