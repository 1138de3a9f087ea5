package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/printable"
)

// revocation is what the flags of revoke ask for.
type revocation struct {
	user   string
	except []string
	yes    bool
}

func (a *app) revoke() *cobra.Command {
	var r revocation
	c := &cobra.Command{
		Use:   "revoke {ID | --user USER}",
		Short: "End a session, or all of a user's",
		Long: `End a session for ever, or all sessions of a user at once; with --user also
those that were created before and turn up later from elsewhere.

Where there is no such session, the exit code is 5. A user without sessions is
no error.`,
		Example: `  perdure revoke 51Qm9vZz0xY2FkZTk2YjQ4Zj
  perdure revoke --user ada --except 51Qm9vZz0xY2FkZTk2YjQ4Zj
  perdure revoke --user ada --yes --json`,
		Args: cobra.MaximumNArgs(1),
	}
	c.PreRunE = func(c *cobra.Command, args []string) error { return r.check(c, args) }
	c.RunE = a.withSessions(func(ctx context.Context, s sessions, args []string) error {
		if len(args) == 1 {
			return a.revokeOne(ctx, s, args[0])
		}
		return a.revokeUser(ctx, s, &r)
	})
	c.Flags().StringVar(&r.user, "user", "", "end all sessions of this user")
	c.Flags().StringSliceVar(&r.except, "except", nil, "with --user: ids of sessions that stay; may be repeated")
	c.Flags().BoolVarP(&r.yes, "yes", "y", false, "with --user: do not ask")
	a.storeFlags(c)
	return c
}

// check refuses flags that contradict each other before a store is opened.
func (r *revocation) check(c *cobra.Command, args []string) error {
	switch byUser := c.Flags().Changed("user"); {
	case byUser && len(args) == 1:
		return usageError{errors.New("an ID and --user are both given; give one")}
	case !byUser && len(args) == 0:
		return usageError{errors.New("nothing to revoke: give an ID, or --user USER")}
	case byUser && r.user == "":
		return usageError{errors.New("--user is empty; give a user id")}
	case !byUser && len(r.except) > 0:
		return usageError{errors.New("--except goes with --user")}
	}
	return nil
}

func (a *app) revokeOne(ctx context.Context, s sessions, id string) error {
	ended, err := s.revoke(ctx, id)
	if err != nil {
		return err
	}
	if !ended {
		return fmt.Errorf("%w: %s", perdure.ErrNotFound, id)
	}
	return a.printRevoked(1)
}

func (a *app) revokeUser(ctx context.Context, s sessions, r *revocation) error {
	if !r.yes {
		if err := a.confirm(r); err != nil {
			return err
		}
	}
	n, err := s.revokeUser(ctx, r.user, r.except)
	if err != nil {
		return err
	}
	return a.printRevoked(n)
}

// confirm asks, where there is somebody to ask.
func (a *app) confirm(r *revocation) error {
	if !a.interactive() {
		return usageError{errors.New("revoke --user asks before it acts, and there is no terminal to ask on; add --yes")}
	}
	return a.ask(r)
}

func (a *app) ask(r *revocation) error {
	spared := ""
	if n := len(r.except); n > 0 {
		spared = fmt.Sprintf(" but %d", n)
	}
	fmt.Fprintf(a.stderr, "End all sessions of user %s%s? [y/N] ", printable.Text(r.user), spared)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); err == nil && (answer == "y" || answer == "yes") {
		return nil
	}
	return errors.New("not confirmed: nothing was revoked")
}

func (a *app) printRevoked(n int) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(map[string]int{"revoked": n})
	}
	_, err := fmt.Fprintf(a.stdout, "revoked: %d\n", n)
	return err
}
