package server

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// protoCodec is the binary form of the interface: sessions go out with their
// metadata in floating point, and with its text too if that changes a number.
type protoCodec struct{}

// Name is the subtype of the content type.
func (protoCodec) Name() string { return "proto" }

// IsBinary is true.
func (protoCodec) IsBinary() bool { return true }

// Marshal writes a reply.
func (c protoCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend writes a reply after what is in b.
func (protoCodec) MarshalAppend(b []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", message)
	}
	withStructs(message)
	return proto.MarshalOptions{}.MarshalAppend(b, m)
}

// MarshalStable writes a reply the same way each time.
func (protoCodec) MarshalStable(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", message)
	}
	withStructs(message)
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// Unmarshal reads a request.
func (protoCodec) Unmarshal(b []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a message", message)
	}
	return proto.Unmarshal(b, m)
}

// withStructs gives the sessions of a reply their metadata as a Struct.
func withStructs(message any) {
	switch m := message.(type) {
	case interface{ GetSession() *perdurev1.Session }:
		withStruct(m.GetSession())
	case interface{ GetSessions() []*perdurev1.Session }:
		for _, session := range m.GetSessions() {
			withStruct(session)
		}
	}
}

func withStruct(session *perdurev1.Session) {
	if session.GetMetadataJson() == "" {
		return
	}
	exact := false
	if session.Metadata, exact = toStruct(session.MetadataJson); exact {
		session.MetadataJson = ""
	}
}
