package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

const (
	// bodySize is how long a stored session is: perdure's body without its
	// header, and the peers' whole value.
	bodySize        = 400
	sessionsPerUser = 4
	lifetime        = 24 * time.Hour

	username = "john_doe"
	noteKey  = "note"
)

var errWrong = errors.New("the answer is wrong")

// population is what both sides store: sessions of users that have a few each.
type population struct {
	metadata map[string]any // perdure's, padded
	value    []byte         // the peers'
}

func newPopulation(ctx context.Context) (p population, err error) {
	note, err := pad(func(note string) (int, error) { return perdureSize(ctx, note) })
	if err != nil {
		return p, err
	}
	p.metadata = map[string]any{noteKey: note}
	if note, err = pad(func(note string) (int, error) { return len(scsValue(note)), nil }); err != nil {
		return p, err
	}
	p.value = scsValue(note)
	return p, nil
}

// pad is the note with which a session is bodySize long, to within the bytes by
// which a length prefix grows.
func pad(size func(note string) (int, error)) (string, error) {
	length := 0
	for range 4 {
		n, err := size(note(length))
		if err != nil {
			return "", err
		}
		length += bodySize - n
	}
	return note(length), nil
}

func note(length int) string {
	const text = "The quick brown fox jumps over the lazy dog. "
	return strings.Repeat(text, length/len(text)+1)[:max(0, length)]
}

func perdureSize(ctx context.Context, note string) (int, error) {
	backend, err := local.Open(local.Options{})
	if err != nil {
		return 0, err
	}
	store, err := perdure.New(backend, perdure.Options{})
	if err != nil {
		return 0, err
	}
	defer store.Close()
	session, err := store.Create(ctx, data(userID(0), map[string]any{noteKey: note}))
	if err != nil {
		return 0, err
	}
	record, err := backend.Get(ctx, session.ID)
	return len(record.Body), err
}

// scsValue is the same session as scs stores it by default.
func scsValue(note string) []byte {
	value, err := scs.GobCodec{}.Encode(time.Now().Add(lifetime), map[string]any{
		"userId": userID(0), "username": username, "roles": "user", noteKey: note,
	})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return value
}

// data is a session of the user.
func data(user string, metadata map[string]any) perdure.Data {
	return perdure.Data{UserID: user, Username: username, Roles: []string{"user"}, Metadata: metadata, TTL: lifetime}
}

// userID is that of the user with the number, always as long.
func userID(number int) string { return "user-" + strconv.Itoa(1e8+number) }

// token is a peer's session id with the number: as long as one of scs, which
// makes it at random, and that is not part of a Commit.
func token(number int) string { return "Zm9yLXRoZS1iZW5jaG1hcmtzLW9ubHk-" + strconv.Itoa(1e10+number) }

// check verifies a session that was read, in a time that does not count beside
// the fastest reads.
func (p population) check(session *perdure.Session, err error) error {
	if err == nil && session.Username != username {
		err = fmt.Errorf("%w: session %s", errWrong, session.ID)
	}
	return err
}

// checkValue verifies a value that a peer read.
func (p population) checkValue(size int, err error) error {
	if err == nil && size != len(p.value) {
		err = fmt.Errorf("%w: a value of %d bytes", errWrong, size)
	}
	return err
}
