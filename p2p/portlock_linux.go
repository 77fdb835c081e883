package p2p

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

const (
	// portPatience is how long to wait for another process that is just opening a host on the same port.
	portPatience = 10 * time.Second
	// portRetry is how often to look whether it is done.
	portRetry = 10 * time.Millisecond
)

// lockPorts keeps other processes on this machine that use these ports from looking whether they are free, until unlock. A
// lock is a socket in Linux's abstract namespace: it is as far-reaching as the ports (a network namespace), needs no folder
// that two users share, and is gone when its process is. Ports are locked in ascending order, so that no two wait for each
// other.
func lockPorts(ports []int) (unlock func(), err error) {
	var held []*net.UnixConn
	unlock = func() {
		for _, c := range held {
			_ = c.Close() // nothing was sent
		}
	}
	end := time.Now().Add(portPatience)
	for _, port := range ports {
		for {
			name := fmt.Sprintf("@walrus-opens-port-%d", port)
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
			if err == nil {
				held = append(held, c)
				break
			}
			if !errors.Is(err, syscall.EADDRINUSE) {
				break // without such sockets, as in a sandbox, looking must do
			}
			if time.Now().After(end) {
				unlock()
				return nil, fmt.Errorf("listen on port %d: another process has been opening it for %v (socket %s): end that one", port, portPatience, name)
			}
			time.Sleep(portRetry)
		}
	}
	return unlock, nil
}
