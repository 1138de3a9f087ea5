// Package proto holds the remote interface of perdure as Protocol Buffers. The
// Go code beside them is generated.
package proto

//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.75.0 lint ..
//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate .. --template ../buf.gen.yaml --output ..
