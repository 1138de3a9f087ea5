package server

import (
	"cmp"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// appendReply writes a reply that holds sessions as protojson would, in a tenth
// of its time, and reports whether it is one.
func appendReply(b []byte, message any) ([]byte, bool) {
	switch m := message.(type) {
	case *perdurev1.ValidateSessionResponse:
		b = strconv.AppendBool(append(b, `{"valid":`...), m.GetValid())
		if m.GetSession() != nil {
			b = appendSession(append(b, `,"session":`...), m.GetSession())
		}
		if m.GetRotatedAt() != nil {
			b = appendTime(append(b, `,"rotatedAt":`...), m.GetRotatedAt())
		}
	case interface{ GetSession() *perdurev1.Session }:
		if m.GetSession() == nil {
			return append(b, `{}`...), true
		}
		b = appendSession(append(b, `{"session":`...), m.GetSession())
	case *perdurev1.BatchGetSessionsResponse:
		b = appendList(append(b, `{"sessions":`...), m.GetSessions(), appendSession)
		b = appendList(append(b, `,"notFound":`...), m.GetNotFound(), appendText)
		b = appendList(append(b, `,"unreadable":`...), m.GetUnreadable(), appendText)
		b = appendList(append(b, `,"unavailable":`...), m.GetUnavailable(), appendText)
	case *perdurev1.ListSessionsResponse:
		b = appendList(append(b, `{"sessions":`...), m.GetSessions(), appendSession)
		b = appendText(append(b, `,"nextPageToken":`...), m.GetNextPageToken())
		b = appendList(append(b, `,"unreadable":`...), m.GetUnreadable(), appendText)
		b = strconv.AppendBool(append(b, `,"incomplete":`...), m.GetIncomplete())
	default:
		return b, false
	}
	return append(b, '}'), true
}

func appendSession(b []byte, s *perdurev1.Session) []byte {
	b = appendText(append(b, `{"id":`...), s.GetId())
	b = appendText(append(b, `,"userId":`...), s.GetUserId())
	b = appendText(append(b, `,"username":`...), s.GetUsername())
	b = appendList(append(b, `,"roles":`...), s.GetRoles(), appendText)
	b = append(append(b, `,"metadata":`...), cmp.Or(s.GetMetadataJson(), `{}`)...)
	b = appendTime(append(b, `,"createdAt":`...), s.GetCreatedAt())
	b = appendTime(append(b, `,"expiresAt":`...), s.GetExpiresAt())
	b = appendTime(append(b, `,"lastAccessedAt":`...), s.GetLastAccessedAt())
	b = appendText(append(b, `,"version":`...), s.GetVersion())
	return append(b, '}')
}

func appendList[T any](b []byte, list []T, item func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, value := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = item(b, value)
	}
	return append(b, ']')
}

// appendTime writes a time in milliseconds, as sessions hold it.
func appendTime(b []byte, at *timestamppb.Timestamp) []byte {
	return at.AsTime().AppendFormat(b, `"2006-01-02T15:04:05.000Z"`)
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			text, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...)
			}
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
