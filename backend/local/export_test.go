package local

import (
	"bytes"

	"github.com/perdure/perdure"
)

// Encode and Decode are how the file holds a record.
var (
	Encode = encode
	Decode = decode
)

// CheckPages and SalvagePages are what is done about a file that may be damaged.
func CheckPages(file []byte) error {
	return checkPages(bytes.NewReader(file), int64(len(file)), true)
}

func SalvagePages(file []byte) []perdure.Record {
	var s Salvaged
	s.read(bytes.NewReader(file), int64(len(file)))
	return s.Records
}
