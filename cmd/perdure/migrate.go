package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/printable"
	"github.com/perdure/perdure/migrate"
)

func (a *app) migrate() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Move sessions from one store to another",
		Long: `Move sessions between any two stores, or out of what puppeteer-mcp or
connect-redis have stored. Ids, times and versions stay what they were; a logout
that either store knows of holds. See perdure help stores for the addresses.

  perdure migrate plan     count what would be moved, and change nothing
  perdure migrate run      move it
  perdure migrate verify   compare the two stores`,
		Example: `  perdure migrate plan --from puppeteer-mcp+redis://127.0.0.1:6379 --to redis://127.0.0.1:6380
  perdure migrate run --from redis://127.0.0.1:6379 --to redis://127.0.0.1:6380 --live
  perdure migrate verify --from file:./perdure-data --to redis://127.0.0.1:6379`,
	}
	c.Args = cobra.NoArgs
	c.RunE = func(*cobra.Command, []string) error {
		return usageError{errors.New("say what to do: perdure migrate plan, run or verify")}
	}
	c.AddCommand(a.migratePlan(), a.migrateRun(), a.migrateVerify())
	return c
}

// moving is what the flags of migrate ask for.
type moving struct {
	from, to      string
	users, ids    []string
	after, before string
	reading       migrate.Reading
}

// movingFlags are those of every verb of migrate.
func (a *app) movingFlags(c *cobra.Command, m *moving) {
	f := c.Flags()
	addressFlag(c, &m.from, "from", "address of the store to move sessions out of, or @FILE; see perdure help stores")
	addressFlag(c, &m.to, "to", "address of the store to move them into, or @FILE")
	f.StringSliceVar(&m.users, "user", nil, "only sessions of this user; may be repeated")
	f.StringSliceVar(&m.ids, "id", nil, "only the session with this id; may be repeated")
	f.StringVar(&m.after, "created-after", "", "only sessions created after this time (2026-01-02T15:04:05Z), or so long ago (24h)")
	f.StringVar(&m.before, "created-before", "", "only sessions created before this time, or so long ago")
	f.IntVar(&m.reading.BatchSize, "batch-size", 1000, "about how many sessions are on their way together, for each worker")
	f.IntVar(&m.reading.Workers, "workers", 4, "parts of the source that are read at the same time")
	f.DurationVar(&m.reading.Timeout, "timeout", 10*time.Second, "bound on one call of a store")
	f.DurationVar(&m.reading.Patience, "patience", 30*time.Second, "how long a store that is unavailable is tried again")
	f.IntVar(&m.reading.MaxErrors, "max-errors", 100, "how many errors or differences are listed; all are counted")
	a.jsonFlag(c)
	c.PreRunE = func(*cobra.Command, []string) error { return m.check() }
}

// check refuses flags that contradict each other before a store is opened.
func (m *moving) check() (err error) {
	switch {
	case m.from == "" || m.to == "":
		return usageError{errors.New("--from and --to are both needed; see perdure help stores for addresses")}
	case m.from == m.to:
		return usageError{errors.New("--from and --to are the same store")}
	}
	for _, user := range m.users {
		m.reading.Filter.Users = append(m.reading.Filter.Users, perdure.HashUser(user))
	}
	m.reading.Filter.IDs = m.ids
	if m.reading.Filter.CreatedAfter, err = pointInTime("--created-after", m.after); err != nil {
		return err
	}
	m.reading.Filter.CreatedBefore, err = pointInTime("--created-before", m.before)
	return err
}

// pointInTime reads a time, or how long ago it was.
func pointInTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usageError{fmt.Errorf("%s is %q; allowed: a time such as 2026-01-02T15:04:05Z, or how long ago, such as 24h", flag, text)}
	}
	return t, nil
}

// name says what is moved, in a checkpoint. The password may change meanwhile.
func (m *moving) name(from, to string) string {
	place := func(shown, address string) string {
		_, query, _ := strings.Cut(address, "?")
		values, _ := url.ParseQuery(query)
		if prefix := values.Get("prefix"); prefix != "" {
			shown += "?prefix=" + prefix
		}
		return shown
	}
	return strings.Join([]string{place(from, m.from), place(to, m.to), strings.Join(m.users, ","), strings.Join(m.ids, ","), m.after, m.before}, " ")
}

// stores are the two of a migration.
type stores struct {
	from *factory.Source
	to   *factory.Source // without a backend where there is none yet
}

// target says what to do where --to names an embedded store that is not there.
type target int

const (
	makeTarget  target = iota // make it
	spareTarget               // do without: nothing is to be changed
	needTarget                // fail
)

// between opens both stores, does something with them, and closes them.
func (a *app) between(ctx context.Context, m *moving, missing target, do func(context.Context, stores) error) (err error) {
	config, _, err := a.config()
	if err != nil {
		return err
	}
	config.NearCache = -1 // nothing is read twice
	config.ThroughDaemon = true
	logger := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := mustExist(m.from); err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	var s stores
	if s.from, err = factory.OpenSource(ctx, m.from, config, logger); err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, s.from.Close()) }()
	if factory.IsForeign(m.to) {
		return usageError{errors.New("--to is another product's store, which can only be read")}
	}
	if err := mustExist(m.to); err != nil && missing == needTarget {
		return fmt.Errorf("--to: %w", err)
	} else if err != nil && missing == spareTarget {
		s.to = &factory.Source{Address: m.to}
		return do(ctx, s)
	}
	if s.to, err = factory.OpenSource(ctx, m.to, config, logger); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, s.to.Close()) }()
	return do(ctx, s)
}

// nothing returns an error where the source holds nothing and the same server has
// sessions of that kind under other prefixes.
func (a *app) nothing(ctx context.Context, m *moving, s stores) error {
	type searcher interface {
		Elsewhere(ctx context.Context) ([]string, error)
	}
	if filtered := m.reading.Filter; filtered.String() != (&migrate.Filter{}).String() {
		return nil
	}
	search, ok := s.from.Source.(searcher)
	if !ok {
		search, ok = perdure.As[searcher](s.from.Backend)
	}
	if !ok {
		return nil
	}
	prefixes, err := search.Elsewhere(ctx)
	if err != nil || len(prefixes) == 0 {
		return err
	}
	for i := range prefixes {
		prefixes[i] = fmt.Sprintf("%q", printable.Text(prefixes[i]))
	}
	return fmt.Errorf("there is nothing to move: %s holds no sessions at the prefix that was asked for, and has some at %s; add ?prefix= to --from",
		s.from.Address, strings.Join(prefixes, ", "))
}

// telling shows the progress of a migration until the function it returns is
// called.
func (a *app) telling(r *migrate.Reading) (end func()) {
	p := a.newProgress()
	r.Progress = func(m migrate.Progress) {
		p.show(status{
			phase: string(m.Phase), done: m.Done, expected: m.Expected, bytes: m.Result.Bytes, errors: m.Result.Failed,
			rate: m.Rate(), left: m.Left(), waiting: m.Waiting,
		})
	}
	return p.end
}
