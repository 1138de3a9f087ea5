package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// bystanderURL is, in the environment of a copy of this program, the server that
// it is to read from instead of measuring anything.
const bystanderURL = "BENCHMARKS_BYSTANDER"

// bystander is another process on the same server: what that notices of this one
// is not what goroutines of this one do.
type bystander struct {
	command *exec.Cmd
	stop    io.Closer
	out     io.Reader
}

// startBystander starts one that reads the sessions over and over.
func startBystander(ctx context.Context, url string, ids []string) (*bystander, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, program)
	command.Env = append(os.Environ(), bystanderURL+"="+url)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	_, err = io.WriteString(in, strings.Join(ids, " ")+"\n")
	return &bystander{command: command, stop: in, out: out}, err
}

// took ends it and returns how long each of its reads took.
func (b *bystander) took() (took []time.Duration, err error) {
	if err := b.stop.Close(); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(b.out).Decode(&took); err != nil {
		return nil, err
	}
	return took, b.command.Wait()
}

// standBy is what a bystander does: it reads a few hundred times a second, until
// its input ends.
func standBy(ctx context.Context, url string, in io.Reader, out io.Writer) error {
	store, err := openStore(ctx, url, nearCacheOff)
	if err != nil {
		return err
	}
	defer store.Close()
	lines := bufio.NewReader(in)
	line, err := lines.ReadString('\n')
	if err != nil {
		return err
	}
	ids := strings.Fields(line)
	ctx, stop := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		stop()
	}()
	ticks := time.NewTicker(2 * time.Millisecond)
	defer ticks.Stop()
	took := []time.Duration{}
	for i := 0; ctx.Err() == nil; i++ {
		<-ticks.C
		began := time.Now()
		if _, err := store.Get(ctx, ids[i%len(ids)]); err == nil {
			took = append(took, time.Since(began))
		}
	}
	return json.NewEncoder(out).Encode(took)
}
