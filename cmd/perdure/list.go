package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

const listPage = 1000

func (a *app) list() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use:   "list",
		Short: "List live sessions",
		Long: `List all live sessions, or those of one user, page by page: memory stays flat
whatever the number. With --json, one session a line.`,
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
	c.RunE = a.withSessions(func(ctx context.Context, s sessions, _ []string) error { return a.listAll(ctx, s, user) })
	c.Flags().StringVar(&user, "user", "", "the user whose sessions to list (default: all)")
	a.storeFlags(c)
	return c
}

func (a *app) listAll(ctx context.Context, s sessions, user string) error {
	table := a.newTable("ID", "USER", "USERNAME", "ROLES", "CREATED", "EXPIRES", "LAST ACCESS")
	n := 0
	for token := ""; ; {
		page, next, err := s.list(ctx, user, token)
		if err != nil {
			return err
		}
		n += len(page)
		for _, session := range page {
			if err := table.add(session); err != nil {
				return err
			}
		}
		if err := table.flush(); err != nil {
			return err
		}
		if token = next; token == "" {
			break
		}
	}
	if n == 0 && !a.json {
		fmt.Fprintln(a.stderr, "no sessions")
	}
	return nil
}
