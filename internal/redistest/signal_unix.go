//go:build unix

package redistest

import "syscall"

func (p *process) stop() error      { return p.signal(syscall.SIGSTOP) }
func (p *process) resume() error    { return p.signal(syscall.SIGCONT) }
func (p *process) terminate() error { return p.signal(syscall.SIGTERM) }
