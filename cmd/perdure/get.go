package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) get() *cobra.Command {
	c := &cobra.Command{
		Use:   "get ID",
		Short: "Show a session",
		Long:  "Show a live session with its metadata. Where there is none, the exit code is 5.",
		Example: `  perdure get 51Qm9vZz0xY2FkZTk2YjQ4Zj
  perdure get --json --store redis://127.0.0.1:6379 51Qm9vZz0xY2FkZTk2YjQ4Zj`,
		Args: cobra.ExactArgs(1),
	}
	c.RunE = a.withSessions(func(ctx context.Context, s sessions, args []string) error {
		found, err := s.get(ctx, args[0])
		if err != nil {
			return err
		}
		return a.printSession(found)
	})
	a.storeFlags(c)
	return c
}
