package loopback

import (
	"fmt"
	"os"
	"syscall"
)

// hold is a socket that is bound and never listens.
type hold struct{ fd int }

// take binds a port, any free one where number is zero. An exclusive hold
// fails where anybody else is bound to the port; one that is not fails only
// where somebody listens.
func take(number int, exclusive bool) (hold, int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return hold{}, 0, os.NewSyscallError("socket", err)
	}
	bound, err := bind(fd, number, exclusive)
	if err != nil {
		syscall.Close(fd)
		return hold{}, 0, err
	}
	return hold{fd: fd}, bound, nil
}

// bind sets SO_REUSEADDR in any case, so that the server can listen beside
// the hold. Set after binding, it does not soften the kernel's own check.
func bind(fd, number int, exclusive bool) (int, error) {
	if !exclusive {
		if err := shareable(fd); err != nil {
			return 0, err
		}
	}
	err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}})
	if err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	if exclusive {
		if err := shareable(fd); err != nil {
			return 0, err
		}
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	addr, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		return 0, fmt.Errorf("socket is bound to a %T", name)
	}
	return addr.Port, nil
}

func shareable(fd int) error {
	err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	return os.NewSyscallError("setsockopt", err)
}

func (h hold) release() { syscall.Close(h.fd) }
