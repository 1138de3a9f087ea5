package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/printable"
	"github.com/perdure/perdure/server"
)

func (a *app) switchStore() *cobra.Command {
	var to, admin string
	var empty, despite bool
	c := &cobra.Command{
		Use:   "switch --to ADDRESS",
		Short: "Have a running daemon keep its sessions elsewhere",
		Long: `Have a running daemon keep its sessions elsewhere, while it is in use: all
sessions are moved with their ids, times and versions, a session that is logged
out meanwhile stays so, no call fails, and writes wait for a moment at the end.

Where other processes use the same store, daemons above all, it is not switched,
and they are named: a logout through them would have no effect here any more. Move
all together, with perdure migrate run --live --reverse.

The daemon reads the address. It goes back to what its environment says when it
is started again: change that too.`,
		Example: `  perdure switch --to redis://127.0.0.1:6379
  perdure switch --to file:/var/lib/perdure --admin http://127.0.0.1:8421`,
		Args: cobra.NoArgs,
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if to == "" {
			return usageError{errors.New("--to is missing: the address of the store to switch to; see perdure help stores")}
		}
		if admin == "" {
			config, _, err := a.config()
			if err != nil {
				return err
			}
			admin = "http://" + config.AdminListen
		}
		result, err := a.askSwitch(c.Context(), admin, server.SwitchRequest{To: to, Empty: empty, DespiteOthers: despite})
		if err != nil {
			return err
		}
		return a.printSwitch(result)
	}
	addressFlag(c, &to, "to", "address of the store, or @FILE; see perdure help stores")
	c.Flags().StringVar(&admin, "admin", "", "admin port of the daemon, http://host:port (default: what PERDURE_ADMIN_LISTEN says)")
	c.Flags().BoolVar(&empty, "empty", false, "leave the sessions behind: everybody has to log in again")
	c.Flags().BoolVar(&despite, "despite-others", false, "switch although other processes use the present store: a logout through them has no effect here any more")
	a.jsonFlag(c)
	return c
}

// askSwitch asks the daemon and shows how far it is.
func (a *app) askSwitch(ctx context.Context, admin string, request server.SwitchRequest) (*server.SwitchResult, error) {
	u, err := url.Parse(admin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usageError{errors.New("--admin is not the address of a daemon; allowed: http://host:port or https://host:port")}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, u.Scheme+"://"+u.Host+"/switch", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(post)
	if err != nil {
		return nil, fmt.Errorf("%w: the admin port of the daemon: %w\nsee whether it runs, and what it says of its admin port at its start", perdure.ErrUnavailable, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return nil, fmt.Errorf("the admin port at %s answers %s: %s", u.Host, response.Status, printable.Text(strings.TrimSpace(string(text))))
	}
	return a.follow(json.NewDecoder(response.Body))
}

// follow reads events up to the last.
func (a *app) follow(events *json.Decoder) (*server.SwitchResult, error) {
	p := a.newProgress()
	defer p.end()
	for {
		var e server.SwitchEvent
		if err := events.Decode(&e); err != nil {
			return nil, fmt.Errorf("the daemon has hung up (%w); its log says what became of the switch", err)
		}
		switch {
		case e.Switched != nil:
			return e.Switched, nil
		case e.Error != "":
			return nil, switchError(e)
		case e.Progress != nil:
			p.show(status{
				phase: e.Progress.Phase, done: e.Progress.Done, expected: e.Progress.Expected, rate: e.Progress.Rate,
				left: time.Duration(e.Progress.Left * float64(time.Second)),
			})
		}
	}
}

// switchError is the error that the daemon met, with its kind.
func switchError(e server.SwitchEvent) error {
	text := printable.Text(e.Error)
	if e.Code == "invalid" {
		return usageError{errors.New(text)}
	}
	return fmt.Errorf("nothing was switched: %s", text)
}

func (a *app) printSwitch(r *server.SwitchResult) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(r)
	}
	_, err := fmt.Fprintf(a.stdout, "switched from %s to %s: %s sessions, writes held for %v\n",
		r.From, r.To, humanize.Comma(r.Migrated), time.Duration(r.Pause*float64(time.Second)).Round(time.Microsecond))
	return err
}
