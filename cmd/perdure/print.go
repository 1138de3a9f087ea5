package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/perdure/perdure/internal/printable"
)

// printSession prints one session: a JSON object, or its fields a line each.
func (a *app) printSession(s session) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(s)
	}
	var metadata bytes.Buffer
	if err := json.Indent(&metadata, []byte(printable.Text(string(s.Metadata))), "", "  "); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "id\t%s\n", s.ID)
	fmt.Fprintf(w, "user\t%s\n", printable.Text(s.UserID))
	fmt.Fprintf(w, "username\t%s\n", printable.Text(s.Username))
	fmt.Fprintf(w, "roles\t%s\n", printable.Text(strings.Join(s.Roles, ", ")))
	fmt.Fprintf(w, "created\t%s\n", moment(s.CreatedAt))
	fmt.Fprintf(w, "expires\t%s\n", moment(s.ExpiresAt))
	fmt.Fprintf(w, "last access\t%s\n", moment(s.LastAccessedAt))
	fmt.Fprintf(w, "version\t%s\n", s.Version)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "metadata     %s\n", &metadata)
	return err
}

// moment is a time with its distance from now.
func moment(t time.Time) string {
	return fmt.Sprintf("%s (%s)", second(t), humanize.Time(t))
}

func second(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// table prints sessions: a JSON object a line, or aligned columns under a head.
type table struct {
	encoder *json.Encoder // nil for columns
	columns *tabwriter.Writer
	head    []string
}

func (a *app) newTable(head ...string) *table {
	if a.json {
		return &table{encoder: json.NewEncoder(a.stdout)}
	}
	return &table{columns: tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0), head: head}
}

func (t *table) add(s session) error {
	if t.encoder != nil {
		return t.encoder.Encode(s)
	}
	if t.head != nil {
		t.row(t.head...)
		t.head = nil
	}
	t.row(s.ID, s.UserID, s.Username, strings.Join(s.Roles, ","), second(s.CreatedAt), second(s.ExpiresAt), second(s.LastAccessedAt))
	return nil
}

// row keeps what it writes until flush.
func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = printable.Text(cells[i])
	}
	fmt.Fprintln(t.columns, strings.Join(cells, "\t"))
}

// flush writes what was added.
func (t *table) flush() error {
	if t.encoder != nil {
		return nil
	}
	return t.columns.Flush()
}
