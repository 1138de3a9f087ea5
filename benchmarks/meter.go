package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/shirou/gopsutil/v4/process"
)

// meter reads what CPU time was used on both sides of the wire.
type meter struct {
	// redis is a connection to the server, apart from those that are measured.
	// Nil where there is none.
	redis *goredis.Client
}

// usage is CPU time used since some start.
type usage struct{ client, server time.Duration }

func (u usage) since(before usage) usage {
	return usage{client: u.client - before.client, server: u.server - before.server}
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
	if m.redis != nil {
		u.server, err = serverCPU(ctx, m.redis)
	}
	return u, err
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
