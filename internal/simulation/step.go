package simulation

import (
	"fmt"
	"strings"
	"time"
)

// Op is what a step does.
type Op string

// What an application asks of a Store.
const (
	Create     Op = "create"
	CreateID   Op = "create id" // with an id of the caller's own
	Get        Op = "get"
	GetMany    Op = "get many"
	Exists     Op = "exists"
	Update     Op = "update"
	Expect     Op = "update expected" // with a version that was read just now, or long ago
	Expire     Op = "set expiry"
	Touch      Op = "touch"
	Delete     Op = "delete"
	Revoke     Op = "revoke"
	RevokeUser Op = "revoke user"
	Rotate     Op = "rotate"
	ListUser   Op = "list user"
	ListAll    Op = "list all"
	Sweep      Op = "sweep"
	Copy       Op = "copy"       // keep the record as it is stored now
	MergeCopy  Op = "merge copy" // and merge it later
)

// What befalls the processes and the front store.
const (
	Link     Op = "link" // how a process reaches the front store
	LoseNext Op = "lose reply"
	Reboot   Op = "front restarts"
	Empty    Op = "front empty"
	Save     Op = "front saves"
	Older    Op = "front older"
	Gap      Op = "feed gap"
	Kill     Op = "kill"
	CrashAt  Op = "crash at"
	Stop     Op = "stop"
	Continue Op = "continue"
	Start    Op = "start"
	Clock    Op = "clock"
	Drift    Op = "drift"
	CopyDir  Op = "copy directory"
	BackDir  Op = "restore directory"
	WipeDir  Op = "remove directory"
	Damage   Op = "damage journal"
)

// settled is when all is mended, which is not a step of a history.
const settled Op = "all is mended"

// Everybody is the process number of a step that concerns all.
const Everybody = -1

// Step is one step of a history. Steps stand for themselves: any of them can be
// left out and the rest played again.
type Step struct {
	N    int           // its number: a session is named by the step that made it
	At   time.Duration // after the beginning
	Proc int
	Op   Op
	Ref  int   // the session that it is about
	Refs []int // several of them
	User int
	Span time.Duration // a life, an expiry from now, how far a clock is off
	Mode Mode          // of a link
	Nth  int           // call at which a process dies
}

func (s *Step) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%10v  ", s.At.Round(time.Millisecond))
	if s.Proc == Everybody {
		fmt.Fprint(&b, "all  ")
	} else {
		fmt.Fprintf(&b, "p%d   ", s.Proc)
	}
	fmt.Fprint(&b, s.Op)
	switch s.Op {
	case Create, CreateID:
		fmt.Fprintf(&b, " s%d of u%d for %v", s.N, s.User, s.Span)
	case Get, Exists, Update, Expect, Touch, Delete, Revoke, MergeCopy:
		fmt.Fprintf(&b, " s%d", s.Ref)
	case Copy:
		fmt.Fprintf(&b, " s%d", s.Ref)
	case Expire:
		fmt.Fprintf(&b, " s%d in %v", s.Ref, s.Span)
	case Rotate:
		fmt.Fprintf(&b, " s%d into s%d for %v", s.Ref, s.N, s.Span)
	case GetMany:
		fmt.Fprintf(&b, " %s", names(s.Refs))
	case RevokeUser, ListUser:
		fmt.Fprintf(&b, " u%d", s.User)
		if len(s.Refs) > 0 {
			fmt.Fprintf(&b, " but %s", names(s.Refs))
		}
	case Link:
		fmt.Fprintf(&b, " %s", s.Mode)
	case Clock:
		fmt.Fprintf(&b, " off by %v", s.Span)
	case Drift:
		fmt.Fprintf(&b, " of %v a minute", s.Span)
	case CrashAt:
		fmt.Fprintf(&b, " call %d", s.Nth)
	}
	return b.String()
}

func names(refs []int) string {
	all := make([]string, len(refs))
	for i, r := range refs {
		all[i] = fmt.Sprintf("s%d", r)
	}
	return strings.Join(all, ",")
}
