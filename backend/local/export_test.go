package local

// Encode and Decode are how the file holds a record.
var (
	Encode = encode
	Decode = decode
)
