package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/factory"
)

// compacter is a backend whose file can be compacted.
type compacter interface {
	Compact(ctx context.Context) (local.Compacted, error)
}

func (a *app) compact() *cobra.Command {
	c := &cobra.Command{
		Use:   "compact",
		Short: "Give back the room in the embedded store's file",
		Long: `Write the data file of an embedded store anew, without the room of sessions that
are gone. It needs room on the disk for a second file as long as it runs, and can be
interrupted at any time. A daemon does it when it starts, if three quarters of the
file are room; one that runs has to be stopped first.`,
		Example: `  perdure compact --store file:/var/lib/perdure`,
		Args:    cobra.NoArgs,
	}
	c.RunE = a.withStore(func(ctx context.Context, i *factory.Instance) error {
		store, ok := perdure.As[compacter](i.Backend())
		if !ok || i.Kind() != "file" {
			return usageError{errors.New("only the file of an embedded store that no daemon holds can be compacted: a daemon compacts it when it starts; stop it, or give another --store")}
		}
		done, err := store.Compact(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return json.NewEncoder(a.stdout).Encode(done)
		}
		_, err = fmt.Fprintf(a.stdout, "compacted: %s before, %s after\n", humanize.IBytes(uint64(done.Before)), humanize.IBytes(uint64(done.After)))
		return err
	})
	a.storeFlags(c)
	return c
}
