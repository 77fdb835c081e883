package p2p

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

const (
	// portPatience bounds the wait for another process that is just opening a host on the same port.
	portPatience = 10 * time.Second
	// portRetry separates two attempts to get the lock.
	portRetry = 10 * time.Millisecond
)

// lockPorts keeps other processes on this machine from checking whether these ports are free, until unlock.
//
// A lock is a socket in Linux's abstract namespace. Like a port, it is visible in its network namespace; it needs no
// folder that two users share; and it ends with its process. Ports are locked in ascending order, so two processes
// never wait for each other.
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
				break // a sandbox without such sockets: do without the lock
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
