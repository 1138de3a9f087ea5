package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/perdure/perdure/internal/printable"
)

// notes is a slog.Handler for verbs that a person runs: what the library logs becomes a
// line like those that the verb prints itself.
type notes struct {
	to    io.Writer
	attrs []slog.Attr
}

// Enabled is true from warnings on: the rest is for the log of a daemon.
func (notes) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle prints a line.
func (n notes) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString("warning: " + r.Message)
	separator := ": "
	add := func(a slog.Attr) bool {
		b.WriteString(separator + a.Key + " " + printable.Text(a.Value.String()))
		separator = ", "
		return true
	}
	for _, a := range n.attrs {
		add(a)
	}
	r.Attrs(add)
	_, err := fmt.Fprintln(n.to, b.String())
	return err
}

// WithAttrs keeps attributes for each line.
func (n notes) WithAttrs(attrs []slog.Attr) slog.Handler {
	return notes{n.to, append(n.attrs[:len(n.attrs):len(n.attrs)], attrs...)}
}

// WithGroup needs no groups: nothing that verbs open uses them.
func (n notes) WithGroup(string) slog.Handler { return n }
