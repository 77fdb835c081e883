package config

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Devnet ports lie below the ranges for outgoing connections of Linux (from 32768), BSD and Windows (from 49152), so a
// port chosen now is most likely still free when its node starts.
const (
	minPort = 10_000
	maxPort = 32_767
	// gatewayPort and metricsPort are the default ports of gateways, so nodes must not take them. (The nodes' own
	// metrics are below minPort.)
	gatewayPort = 31_415
	metricsPort = 27_182
	// maxPortTries bounds the tries for one port. If half the range were taken, they would fail one time in 2⁶⁴.
	maxPortTries = 64
)

// ports holds loopback ports, TCP and UDP of each number, so that no other process takes them meanwhile.
type ports struct {
	numbers []int
	held    []interface{ Close() error }
}

// holdPorts takes count random ports: two devnets made at once rarely try the same, and never hold the same.
func holdPorts(ctx context.Context, count int) (*ports, error) {
	p := &ports{}
	for range count {
		if err := p.take(ctx); err != nil {
			return nil, errors.Join(err, p.release())
		}
	}
	return p, nil
}

func (p *ports) take(ctx context.Context) error {
	var lc net.ListenConfig
	var last error
	for range maxPortTries {
		port := minPort + rand.IntN(maxPort-minPort+1)
		if port == gatewayPort || port == metricsPort {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		tcp, err := lc.Listen(ctx, "tcp4", addr)
		if err != nil {
			last = err
			continue
		}
		udp, err := lc.ListenPacket(ctx, "udp4", addr)
		if err != nil {
			last = errors.Join(err, tcp.Close())
			continue
		}
		p.numbers = append(p.numbers, port)
		p.held = append(p.held, tcp, udp)
		return nil
	}
	return fmt.Errorf("find a free port on 127.0.0.1 between %d and %d: %w", minPort, maxPort, last)
}

// release frees all ports.
func (p *ports) release() error {
	var err error
	for _, c := range p.held {
		err = errors.Join(err, c.Close())
	}
	p.held = nil
	return err
}
