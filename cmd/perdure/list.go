package main

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/printable"
)

const listPage = 1000

func (a *app) list() *cobra.Command {
	var user string
	var partial bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List live sessions",
		Long: `List all live sessions, or those of one user, page by page: memory stays flat
whatever the number. With --json, one session a line. Sessions that cannot be read
are named on stderr; the exit code is then 3.

In an outage a daemon lists all sessions if it holds them all, and else none. With
--allow-incomplete it lists those that it holds; the exit code is then 3. So it is of
a list that an outage cut short by beginning or ending: list again.`,
		Example: `  perdure list --user ada
  perdure list --json --store redis://127.0.0.1:6379 | jq -r .userId | sort | uniq -c`,
		Args: cobra.NoArgs,
	}
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("user") && user == "" {
			return usageError{errors.New("--user is empty; give a user id, or leave it out to list all")}
		}
		return nil
	}
	c.RunE = a.withSessions(func(ctx context.Context, s sessions, _ []string) error { return a.listAll(ctx, s, user, partial) })
	c.Flags().StringVar(&user, "user", "", "the user whose sessions to list (default: all)")
	c.Flags().BoolVar(&partial, "allow-incomplete", false, "list what is there where that may not be all")
	a.storeFlags(c)
	return c
}

// listExpired reports whether a list has to begin anew.
func listExpired(err error) bool {
	return err != nil && (errors.Is(err, perdure.ErrListExpired) || connect.CodeOf(err) == connect.CodeOutOfRange)
}

func (a *app) listAll(ctx context.Context, s sessions, user string, partial bool) error {
	table := a.newTable("ID", "USER", "USERNAME", "ROLES", "CREATED", "EXPIRES", "LAST ACCESS")
	n, unreadable, incomplete := 0, 0, false
	for token := ""; ; {
		page, err := s.list(ctx, user, token, partial)
		if listExpired(err) && n == 0 && token != "" {
			token = "" // nothing was printed: it begins anew
			continue
		}
		if listExpired(err) {
			return partialError{fmt.Errorf("the list broke off after %d sessions, since the session store went away or came back meanwhile; list again", n)}
		}
		if err != nil {
			return err
		}
		n += len(page.sessions)
		if page.incomplete && !incomplete {
			fmt.Fprintln(a.stderr, "warning: the list is not complete: Redis cannot be reached, or has lost data that is being given back; /readyz?verbose of the daemon says which")
			incomplete = true
		}
		unreadable += len(page.unreadable)
		for _, session := range page.sessions {
			if err := table.add(session); err != nil {
				return err
			}
		}
		if err := table.flush(); err != nil {
			return err
		}
		for _, id := range page.unreadable {
			fmt.Fprintf(a.stderr, "cannot be read: %s\n", printable.Text(id))
		}
		if token = page.next; token == "" {
			break
		}
	}
	if incomplete {
		return partialError{errors.New("sessions may be missing from the list")}
	}
	if unreadable > 0 {
		return partialError{fmt.Errorf("%d stored sessions cannot be read and are not in the list: they are damaged, or of a later release", unreadable)}
	}
	if n == 0 && !a.json {
		fmt.Fprintln(a.stderr, "no sessions")
	}
	return nil
}
