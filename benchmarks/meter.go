package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/process"
)

// meter reads what CPU time was used on both sides of the wire.
type meter struct {
	// redis is a connection to the server, apart from those that are measured.
	// Nil where there is none.
	redis *goredis.Client
}

// usage is CPU time used since some start: by this process, by Redis, and by all
// that run on the machine.
type usage struct{ client, server, machine time.Duration }

func (u usage) since(before usage) usage {
	return usage{client: u.client - before.client, server: u.server - before.server, machine: u.machine - before.machine}
}

// others is the share of the machine that neither side used.
func (u usage) others(took time.Duration) float64 {
	return max(0, (u.machine-u.client-u.server).Seconds()/(took.Seconds()*float64(runtime.NumCPU())))
}

func (m meter) read(ctx context.Context) (u usage, err error) {
	self, err := process.NewProcessWithContext(ctx, int32(os.Getpid()))
	if err != nil {
		return u, err
	}
	times, err := self.TimesWithContext(ctx)
	if err != nil {
		return u, err
	}
	u.client = seconds(times.User + times.System)
	if u.machine, err = machineCPU(ctx); err != nil {
		return u, err
	}
	if m.redis != nil {
		u.server, err = serverCPU(ctx, m.redis)
	}
	return u, err
}

// machineCPU is the time in which the machine's cores did not rest, or were not
// to be had.
func machineCPU(ctx context.Context) (time.Duration, error) {
	all, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	t := all[0]
	return seconds(t.User + t.Nice + t.System + t.Irq + t.Softirq + t.Steal), nil
}

func serverCPU(ctx context.Context, client *goredis.Client) (time.Duration, error) {
	info, err := client.InfoMap(ctx, "cpu").Result()
	if err != nil {
		return 0, err
	}
	var total float64
	for _, field := range []string{"used_cpu_user", "used_cpu_sys"} {
		value, err := strconv.ParseFloat(info["CPU"][field], 64)
		if err != nil {
			return 0, fmt.Errorf("INFO cpu: %s: %w", field, err)
		}
		total += value
	}
	return seconds(total), nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
