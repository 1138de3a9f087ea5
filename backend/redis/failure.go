package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// settingError is the answer of a server to a configuration that does not fit it. It
// is a perdure.ErrUnavailable: what is wrong may be the server's, and be put right
// there. At the start it is the configuration's: see misconfigured.
type settingError struct {
	field, text string // the option, and what to do
}

func (e *settingError) Error() string { return perdure.ErrUnavailable.Error() + ": " + e.text }
func (e *settingError) Unwrap() error { return perdure.ErrUnavailable }

// setting is a settingError about the URL, or the user in it.
func setting(format string, args ...any) error {
	return &settingError{field: "URL", text: fmt.Sprintf(format, args...)}
}

// errSetting stands for a settingError in the table of refusals.
var errSetting = errors.New("setting")

// Misfit begins the problem of an InvalidError about a server that answered.
const Misfit = "does not fit the server that answered: "

// misconfigured is the ErrInvalid of an error that says that the server answered,
// and that the configuration does not fit it; any other error stays.
func misconfigured(err error) error {
	var wrong *settingError
	if errors.As(err, &wrong) {
		return &perdure.InvalidError{Field: wrong.field, Problem: Misfit + wrong.text}
	}
	return err
}

// failure turns what the client or the server said into an error of package
// perdure that says what to do. It repeats no argument of a command.
func failure(err error) error {
	switch reply, isReply := rueidis.IsRedisErr(err); {
	case err == nil || errors.Is(err, perdure.ErrUnavailable):
		return err
	case isReply:
		return refusal(reply.Error())
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: redis did not answer in time; see whether it hangs, or cannot be reached: %w", perdure.ErrUnavailable, context.DeadlineExceeded)
	case errors.Is(err, rueidis.ErrNoSlot):
		return fmt.Errorf("%w: no node of the Cluster serves this slot; see CLUSTER SHARDS", perdure.ErrUnavailable)
	case errors.As(err, new(*settingError)):
		return err
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return &settingError{field: "CAFile", text: fmt.Sprintf("the certificate of redis is not trusted; name its authority in CAFile: %v", err)}
	case alerted(err):
		return &settingError{field: "CertFile", text: fmt.Sprintf("redis does not take this side of the TLS connection; see whether it asks for a certificate, and which: %v", err)}
	case rueidis.IsParseErr(err):
		return fmt.Errorf("%w: redis answered with something else than was asked for; see what listens at its address", perdure.ErrUnavailable)
	default:
		return fmt.Errorf("%w: the connection to redis failed; see whether it runs: %w", perdure.ErrUnavailable, err)
	}
}

// refusal is the error for an error reply. Scripts wrap what stopped them: "ERR
// Error running script (…): @user_script: 9: -READONLY …" on Redis 6.2.
func refusal(reply string) error {
	for _, known := range refusals() {
		if strings.HasPrefix(reply, known.code) || strings.Contains(reply, "-"+known.code+" ") {
			if known.is == errSetting {
				return setting("redis says %s: %s", known.code, known.advice)
			}
			return fmt.Errorf("%w: redis says %s: %s", known.is, known.code, known.advice)
		}
	}
	switch {
	case strings.Contains(reply, "PERDUREFORMAT"):
		return fmt.Errorf("%w: the stored record is damaged, or of a later release", perdure.ErrFormat)
	case strings.Contains(reply, "PERDURESKEW"):
		return fmt.Errorf("%w; synchronise the clock of this machine (NTP)", perdure.ErrSkew)
	case isElsewhere(reply):
		return fmt.Errorf("%w: redis says that a script's keys are not all here: %s", perdure.ErrUnavailable, slotMoves)
	case strings.Contains(reply, "cluster support disabled"):
		return setting("this server is not part of a Cluster, which several hosts stand for; give one host, or ?master_name= for Sentinels")
	case strings.Contains(reply, "No such master"):
		return setting("the Sentinels do not watch a master of this name; correct master_name")
	case strings.Contains(reply, "unknown command") && strings.Contains(strings.ToUpper(reply), "SENTINEL"):
		return setting("this server is no Sentinel, which master_name asks for; leave it out, or give the Sentinels' hosts")
	case strings.Contains(reply, "DB index is out of range"):
		return setting("the server has no database of this number; correct the URL")
	case strings.Contains(reply, "not allowed in cluster mode"):
		return setting("it is a node of a Cluster, which has only the database 0; give the URL without a database number")
	case strings.Contains(reply, "unknown command"), strings.Contains(reply, "Unknown Redis command"):
		return setting("redis does not know a command that is needed; version 6.2 or later is, with no command renamed")
	case strings.Contains(reply, "user executing the script can't"), strings.Contains(reply, "ACL failure in script"):
		return setting("the ACL of this redis user lacks a command or a key that scripts use; the capability report (perdure doctor) names them")
	case isMaxClients(reply):
		return fmt.Errorf("%w: redis has no room for another connection; raise maxclients", perdure.ErrUnavailable)
	}
	return fmt.Errorf("%w: redis says %q", perdure.ErrUnavailable, clip(reply))
}

// isElsewhere reports whether a script has met a key that is at another node, in a slot
// that is being moved.
func isElsewhere(reply string) bool { return strings.Contains(reply, "access a non local key") }

// isDenied reports whether the server does not allow this user a command.
func isDenied(err error) bool {
	reply, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(reply.Error(), "NOPERM")
}

func isMaxClients(reply string) bool { return strings.Contains(reply, "max number of clients") }

// slotMoves is the advice on a slot that a Cluster is moving: what needs several keys it
// refuses meanwhile, for they may be at different nodes.
const slotMoves = "the slot is being moved to another node; that ends by itself, or is finished by redis-cli --cluster fix"

type known struct {
	code, advice string
	is           error
}

// refusals are the errors of a server that mean something to its operator.
func refusals() []known {
	return []known{
		{"OOM", "this server has reached maxmemory and takes no new session; raise maxmemory, and leave maxmemory-policy at noeviction", perdure.ErrFull},
		{"READONLY", "this server is a replica, which accepts reads and refuses writes; connect to its master, by Sentinel if that moves", perdure.ErrUnavailable},
		{"LOADING", "this server is reading its data from disk; wait until that is done", perdure.ErrUnavailable},
		{"BUSY", "a script of somebody else keeps this server busy; SCRIPT KILL ends it", perdure.ErrUnavailable},
		{"MASTERDOWN", "this server is a replica that has lost its master; repair the replication", perdure.ErrUnavailable},
		{"NOREPLICAS", "this server takes no writes while it has too few replicas; repair them, or lower min-replicas-to-write", perdure.ErrUnavailable},
		{"MISCONF", "this server takes no writes while it cannot save; make room on its disk and see its log", perdure.ErrUnavailable},
		{"CLUSTERDOWN", "part of the Cluster is missing; bring its masters back, and see CLUSTER INFO", perdure.ErrUnavailable},
		{"CROSSSLOT", "this server is a node of a Cluster; give the URL without a database number", errSetting},
		{"TRYAGAIN", slotMoves, perdure.ErrUnavailable},
		{"MOVED", "this server is a node of a Cluster whose nodes do not agree on who serves the slot; see CLUSTER SHARDS", perdure.ErrUnavailable},
		{"ASK", slotMoves, perdure.ErrUnavailable},
		{"NOAUTH", "this server asks for a password; put one into the URL, as in redis://user:password@host", errSetting},
		{"WRONGPASS", "this server does not know this user, or not with this password; correct the URL", errSetting},
		{"NOPERM", "the ACL of this user lacks a command or a key; the capability report names them", errSetting},
		{"DENIED", "this server runs in protected mode and takes local connections alone; set a password on it", errSetting},
		{"WRONGTYPE", "a key of this prefix holds something else than sessions; use a prefix of your own", perdure.ErrFormat},
	}
}

// clip cuts a reply before what could be the arguments of a command.
func clip(reply string) string {
	reply, _, _ = strings.Cut(reply, ", with args")
	if len(reply) > 120 {
		reply = reply[:120] + "…"
	}
	return reply
}

// ended is the error for a context that has ended.
func ended(ctx context.Context) error { return failure(ctx.Err()) }
