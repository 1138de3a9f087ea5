package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
)

// machine is what a run ran on. What cannot be found out stays empty.
type machine struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory uint64  `json:"memoryBytes"`
	Kernel string  `json:"kernel"`
	Go     string  `json:"go"`
	Redis  string  `json:"redis,omitempty"`
	Load   float64 `json:"loadBefore"` // of the minute before: others may be at work
}

func inspectMachine(ctx context.Context) machine {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	if infos, err := cpu.InfoWithContext(ctx); err == nil && len(infos) > 0 {
		m.CPU = infos[0].ModelName
	}
	if memory, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		m.Memory = memory.Total
	}
	if info, err := host.InfoWithContext(ctx); err == nil {
		m.Kernel = fmt.Sprintf("%s %s %s", info.OS, info.KernelVersion, info.KernelArch)
	}
	if average, err := load.AvgWithContext(ctx); err == nil {
		m.Load = average.Load1
	}
	return m
}
