package server

import (
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// toSession is a session as it goes out.
func toSession(session *perdure.Session) *perdurev1.Session {
	return &perdurev1.Session{
		Id:             session.ID,
		UserId:         session.UserID,
		Username:       session.Username,
		Roles:          session.Roles,
		MetadataJson:   metadataText(session.Metadata), // the codec makes of it what its form has
		CreatedAt:      timestamppb.New(session.CreatedAt),
		ExpiresAt:      timestamppb.New(session.ExpiresAt),
		LastAccessedAt: timestamppb.New(session.LastAccessedAt),
		Version:        session.Version.String(),
	}
}

// toIDs are ids that damage may have made anything.
func toIDs(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = strings.ToValidUTF8(id, "\ufffd")
	}
	return out
}

func toSessions(sessions []perdure.Session) []*perdurev1.Session {
	out := make([]*perdurev1.Session, len(sessions))
	for i := range sessions {
		out[i] = toSession(&sessions[i])
	}
	return out
}

// fromStruct is metadata as the Store takes it; nil where there is none.
func fromStruct(object *structpb.Struct) (map[string]any, error) {
	if object == nil {
		return nil, nil
	}
	for key, value := range object.GetFields() {
		if !finite(value) {
			return nil, invalid("metadata", "has a number that JSON cannot express in %.64q; finite numbers are allowed", key)
		}
	}
	return object.AsMap(), nil
}

func finite(value *structpb.Value) bool {
	switch kind := value.GetKind().(type) {
	case *structpb.Value_NumberValue:
		return !math.IsNaN(kind.NumberValue) && !math.IsInf(kind.NumberValue, 0)
	case *structpb.Value_ListValue:
		for _, value := range kind.ListValue.GetValues() {
			if !finite(value) {
				return false
			}
		}
	case *structpb.Value_StructValue:
		for _, value := range kind.StructValue.GetFields() {
			if !finite(value) {
				return false
			}
		}
	}
	return true
}

// fromTime is a point in time, or the zero Time where there is none.
func fromTime(field string, at *timestamppb.Timestamp) (time.Time, error) {
	if at == nil {
		return time.Time{}, nil
	}
	if err := at.CheckValid(); err != nil {
		return time.Time{}, invalid(field, "is not a time from year 1 to 9999")
	}
	if at.GetSeconds() <= 0 { // year 1 would be the zero Time, which means none
		return time.Time{}, invalid(field, "is %s, which is not after now", at.AsTime().Format(time.RFC3339Nano))
	}
	return at.AsTime(), nil
}

// fromSeconds is a length of time up to a longest one, or zero where there is none.
func fromSeconds(field string, seconds *int64, longest time.Duration) (time.Duration, error) {
	most := int64(longest / time.Second)
	switch {
	case seconds == nil:
		return 0, nil
	case *seconds <= 0:
		return 0, invalid(field, "is %d; it must be above zero", *seconds)
	case *seconds > most:
		return 0, invalid(field, "is %d; at most %d is allowed", *seconds, most)
	}
	return time.Duration(*seconds) * time.Second, nil
}

// fromRoles is a list of roles; nil where there is none, and empty but not nil
// where it is empty.
func fromRoles(list *structpb.ListValue) ([]string, error) {
	if list == nil {
		return nil, nil
	}
	roles := make([]string, len(list.GetValues()))
	for i, value := range list.GetValues() {
		role, ok := value.GetKind().(*structpb.Value_StringValue)
		if !ok {
			return nil, invalid("roles", "has an entry at position %d that is not a string", i)
		}
		roles[i] = role.StringValue
	}
	return roles, nil
}

// fromVersion is the version that an update expects.
func fromVersion(field string, text *string) (perdure.Version, error) {
	if text == nil {
		return perdure.Version{}, nil
	}
	version, err := perdure.ParseVersion(*text)
	if err != nil || version.IsZero() {
		return version, invalid(field, "is not a version: 24 hex digits, as a session's version field shows them")
	}
	return version, nil
}

func invalid(field, format string, args ...any) error {
	return &perdure.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
