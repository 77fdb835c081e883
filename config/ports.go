package config

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports for devnets come from below the ranges that Linux (32768 up), BSD and Windows (49152 up) hand to outgoing
// connections, so that one chosen now is most likely still free when its node starts.
const (
	minPort = 10_000
	maxPort = 32_767
	// gatewayPort and metricsPort are where gateways listen unless they are told otherwise, so they are not for nodes. (Nodes'
	// own metrics are below minPort.)
	gatewayPort = 31_415
	metricsPort = 27_182
	// maxPortTries per port: half of the range would have to be taken for this to fail one time in 2⁶⁴.
	maxPortTries = 64
)

// ports holds loopback ports, TCP and UDP of one number, so that nobody else takes them while they are handed out.
type ports struct {
	numbers []int
	held    []interface{ Close() error }
}

// holdPorts takes count ports at random: two devnets made at once rarely pick the same, and never hold the same.
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

// release lets go of all ports.
func (p *ports) release() error {
	var err error
	for _, c := range p.held {
		err = errors.Join(err, c.Close())
	}
	p.held = nil
	return err
}
