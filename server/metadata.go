package server

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/perdure/perdure"
)

// metadataText is metadata as JSON text, digit by digit as it was stored. A value
// that damage has made something else than JSON becomes a string.
func metadataText(metadata perdure.Metadata) string {
	b := []byte{'{'}
	for key, raw := range metadata.All() {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(appendText(b, strings.ToValidUTF8(key, "\ufffd")), ':')
		if json.Valid(raw) && utf8.Valid(raw) {
			b = append(b, raw...)
		} else {
			b = appendText(b, strings.ToValidUTF8(string(raw), "\ufffd"))
		}
	}
	return string(append(b, '}'))
}

// fromMetadata is the metadata of a request as the Store takes it, nil if there is
// none: JSON text, of which every digit stays, or a Struct.
func fromMetadata(object *structpb.Struct, text string) (map[string]any, error) {
	switch {
	case text == "":
		return fromStruct(object)
	case object != nil:
		return nil, invalid("metadataJson", "and metadata are both set; set one")
	}
	if err := protojson.Unmarshal([]byte(text), &structpb.Struct{}); err != nil { // it refuses what encoding/json mends in silence
		return nil, invalid("metadataJson", "is not a JSON object: %s", reason(err))
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, invalid("metadataJson", "is not a JSON object")
	}
	metadata := make(map[string]any, len(values))
	for key, raw := range values {
		metadata[key] = raw
	}
	return metadata, nil
}

// toStruct is metadata, as JSON text, in floating point, and whether that changes no
// number of it.
func toStruct(text string) (object *structpb.Struct, exact bool) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	var values map[string]any
	if err := decoder.Decode(&values); err != nil {
		return &structpb.Struct{}, false
	}
	exact = true
	object = &structpb.Struct{Fields: make(map[string]*structpb.Value, len(values))}
	for key, value := range values {
		object.Fields[key] = toValue(value, &exact)
	}
	return object, exact
}

func toValue(value any, exact *bool) *structpb.Value {
	switch v := value.(type) {
	case string:
		return structpb.NewStringValue(v)
	case bool:
		return structpb.NewBoolValue(v)
	case json.Number:
		return toNumber(v, exact)
	case []any:
		list := &structpb.ListValue{Values: make([]*structpb.Value, len(v))}
		for i, item := range v {
			list.Values[i] = toValue(item, exact)
		}
		return structpb.NewListValue(list)
	case map[string]any:
		object := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(v))}
		for key, item := range v {
			object.Fields[key] = toValue(item, exact)
		}
		return structpb.NewStructValue(object)
	}
	return structpb.NewNullValue()
}

// surelyExact is how many characters an integer has at most that floating point
// surely holds.
const surelyExact = 15

// toNumber is a number in floating point, or its text if it is too large for that.
func toNumber(n json.Number, exact *bool) *structpb.Value {
	f, err := n.Float64()
	if err != nil {
		*exact = false
		return structpb.NewStringValue(n.String())
	}
	if len(n) > surelyExact || strings.ContainsAny(n.String(), ".eE") {
		*exact = *exact && same(n.String(), f)
	}
	return structpb.NewNumberValue(f)
}

// same reports whether a finite number in floating point, at its shortest, is the
// decimal number.
func same(decimal string, f float64) bool {
	if f == 0 {
		return strings.Trim(strings.ToLower(decimal), "-0.") == "" || strings.HasPrefix(strings.TrimLeft(strings.ToLower(decimal), "-0."), "e")
	}
	want, ok := new(big.Rat).SetString(decimal)
	got, fine := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	return ok && fine && want.Cmp(got) == 0
}
