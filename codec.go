package perdure

// Codec hides session bodies and user ids from the backend. A nil Codec leaves
// bodies plain and hashes user ids with HashUser. It must be safe for concurrent
// use.
type Codec interface {
	// Seal hides the body of a session. The id and the parts of the header that
	// never change (Born, Horizon, User, Parent) are the associated data.
	Seal(r Record, body []byte) (string, error)
	// Open is the inverse of Seal. Where the body was altered, or moved under
	// another id, it returns an ErrFormat.
	Open(r Record) (string, error)
	// UserKey stands for the user in keys and headers: a keyed hash, so that
	// who reads the backend cannot test a guessed user id.
	UserKey(userID string) UserKey
}

// seal is Codec.Seal for a body that is a string already, and stays one where it is
// plain.
func seal(codec Codec, r Record, body string) (string, error) {
	if _, plain := codec.(plainCodec); plain {
		return body, nil
	}
	return codec.Seal(r, []byte(body))
}

type plainCodec struct{}

func (plainCodec) Seal(_ Record, body []byte) (string, error) { return string(body), nil }
func (plainCodec) Open(r Record) (string, error)              { return r.Body, nil }
func (plainCodec) UserKey(userID string) UserKey              { return HashUser(userID) }
