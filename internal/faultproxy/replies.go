package faultproxy

// replies applies the faults on single replies to one connection's stream.
type replies struct {
	scanner  scanner
	dropping bool // the rest of the reply that is being scanned
	cutting  bool // after so many bytes more
	cutAfter int
}

// pass returns what is to be sent in place of data, and whether the connection
// is to be cut after that. For each reply that begins it claims a fault.
func (r *replies) pass(data []byte, claim func() (shot, bool)) (out []byte, cut bool) {
	out = make([]byte, 0, len(data))
	for len(data) > 0 {
		if r.scanner.begins(data[0]) && !r.cutting {
			if s, ok := claim(); ok && s.cut {
				r.cutting, r.cutAfter = true, s.after
			} else if ok {
				r.dropping = true
				out = append(out, s.reply...)
			}
		}
		n := r.scanner.advance(data)
		part := data[:n]
		data = data[n:]
		switch {
		case r.dropping:
			r.dropping = !r.scanner.between()
		case r.cutting && r.cutAfter <= len(part):
			return append(out, part[:r.cutAfter]...), true
		case r.cutting:
			r.cutAfter -= len(part)
			out = append(out, part...)
		default:
			out = append(out, part...)
		}
	}
	return out, false
}
