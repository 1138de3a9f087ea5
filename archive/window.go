package archive

import "io"

// window is the stretch of a file that is being looked at.
type window struct {
	in     io.Reader
	buffer []byte
	from   int
	offset int64 // of what comes first, in the file
	err    error // why there is no more to come
}

// readStep bounds how much is read ahead of knowing that it is there: a length
// that lies costs no memory.
const readStep = 256 << 10

// bytes is what is there.
func (w *window) bytes() []byte { return w.buffer[w.from:] }

// skip goes on.
func (w *window) skip(n int) {
	w.from += n
	w.offset += int64(n)
}

// fill reads until there are n bytes, and reports whether there are.
func (w *window) fill(n int) bool {
	for len(w.bytes()) < n && w.err == nil {
		if w.from > 0 {
			w.buffer, w.from = append(w.buffer[:0], w.bytes()...), 0
		}
		have := len(w.buffer)
		step := min(n-have, readStep)
		for cap(w.buffer) < have+step {
			w.buffer = append(w.buffer[:cap(w.buffer)], 0)
		}
		var read int
		read, w.err = io.ReadFull(w.in, w.buffer[have:have+step])
		w.buffer = w.buffer[:have+read]
		if w.err == io.ErrUnexpectedEOF {
			w.err = io.EOF
		}
	}
	return len(w.bytes()) >= n
}
