package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// jsonCodec is the JSON of the interface: replies hold zero values too and no
// white space but the end of their line, requests hold no fields that are not known.
type jsonCodec struct{ name string }

// Name is the subtype of the content type.
func (c jsonCodec) Name() string { return c.name }

// IsBinary is false: JSON is text.
func (jsonCodec) IsBinary() bool { return false }

// MarshalStable is Marshal, which is stable.
func (c jsonCodec) MarshalStable(message any) ([]byte, error) { return c.Marshal(message) }

// Marshal writes a reply.
func (c jsonCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend writes a reply after what is in b.
func (jsonCodec) MarshalAppend(b []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", message)
	}
	if b, ok := appendReply(b, message); ok {
		return append(b, '\n'), nil
	}
	start := len(b)
	b, err := protojson.MarshalOptions{EmitDefaultValues: true}.MarshalAppend(b, m)
	if err != nil {
		return nil, err
	}
	// protojson adds white space at random, so that nobody relies on it.
	compact := bytes.NewBuffer(b[:start])
	if err := json.Compact(compact, b[start:]); err != nil {
		return nil, err
	}
	compact.WriteByte('\n')
	return compact.Bytes(), nil
}

// Unmarshal reads a request.
func (jsonCodec) Unmarshal(b []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a message", message)
	}
	err := protojson.Unmarshal(b, m)
	if err == nil {
		return keepDigits(b, m)
	}
	text := reason(err)
	if strings.Contains(text, "unknown field") {
		text += "; the fields of this request are " + fields(m.ProtoReflect().Descriptor())
	}
	return errors.New(text)
}

// keepDigits has a request keep the text of its metadata, which protojson has found
// to be right, for what it has made of the numbers in it.
func keepDigits(b []byte, message proto.Message) error {
	var object **structpb.Struct
	var text *string
	switch m := message.(type) {
	case *perdurev1.CreateSessionRequest:
		object, text = &m.Metadata, &m.MetadataJson
	case *perdurev1.UpdateSessionRequest:
		object, text = &m.Metadata, &m.MetadataJson
	}
	if object == nil || *object == nil || *text != "" {
		return nil
	}
	var request struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(b, &request); err != nil {
		return errors.New("the request cannot be read")
	}
	*object, *text = nil, string(request.Metadata)
	return nil
}

// reason is the text of an error of protojson, without a value of the request.
func reason(err error) string {
	// After "proto:" protojson writes one of two kinds of space, at random.
	text := withoutValue(strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0"))
	if strings.HasSuffix(text, "unexpected EOF") {
		text += ": the JSON ends too early, or has half of a surrogate pair (\\ud800 to \\udfff), which is no character"
	}
	return text
}

// withoutValue cuts the value of the request that an error text of protojson ends
// with: the caller may log it. Line and column say where it is.
func withoutValue(text string) string {
	for _, told := range []string{"unexpected token", "invalid value", "invalid google.protobuf.Timestamp value", "duplicate map key", "invalid escape code", "invalid character"} {
		at := strings.Index(text, told)
		if at < 0 {
			continue
		}
		at += len(told)
		if field, _, ok := strings.Cut(text[at:], ": "); ok && strings.HasPrefix(field, " for ") { // "for string field id"
			at += len(field)
		}
		return text[:at]
	}
	return text
}

// fields lists the fields of a message as JSON names them.
func fields(message protoreflect.MessageDescriptor) string {
	var names []string
	for i := range message.Fields().Len() {
		names = append(names, message.Fields().Get(i).JSONName())
	}
	return strings.Join(names, ", ")
}
