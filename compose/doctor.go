package compose

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/multiformats/go-multiaddr"

	"walrus/clientnode"
	"walrus/config"
	"walrus/dht"
	"walrus/doctor"
)

// DoctorClient makes the configuration of an examination from a client's.
func DoctorClient(c *config.Client, version string, log *slog.Logger) (doctor.Config, error) {
	genesis, err := config.LoadGenesis(c.Genesis)
	if err != nil {
		return doctor.Config{}, err
	}
	key, err := c.IdentityKey()
	if err != nil {
		return doctor.Config{}, err
	}
	return doctor.Config{
		Key: key, Role: doctor.HomePeer, Genesis: genesis, DHT: dht.Config{Bootstrap: c.Bootstrap, MDNS: c.Neighbours(true), AddressBook: c.AddressBook},
		Version: version, Logger: log,
	}, nil
}

// doctorAsk bounds the question to a node that perhaps does not run.
const doctorAsk = 2 * time.Second

// DoctorNode makes the configuration of an examination of a storage node. It asks the node whether it runs: then its
// ports are taken, and it knows its addresses best.
func DoctorNode(ctx context.Context, n *config.Node, version string, log *slog.Logger) (doctor.Config, error) {
	genesis, err := config.LoadGenesis(n.Genesis)
	if err != nil {
		return doctor.Config{}, err
	}
	id, err := n.PeerID()
	if err != nil {
		return doctor.Config{}, err
	}
	limit, err := n.Store.LimitBytes()
	if err != nil {
		return doctor.Config{}, fmt.Errorf("%s: %w", n.Home, err)
	}
	d := doctor.Config{
		Role: doctor.StorageNode, Genesis: genesis, Self: id, Port: listenPort(n.Listen), Listen: n.Listen, Announce: n.Announce,
		DHT:  dht.Config{Bootstrap: n.Bootstrap, MDNS: n.Neighbours()}, // the address book belongs to the node
		Data: n.Store.Path, Limit: uint64(limit), Version: version, Logger: log,
	}
	addr, err := n.LocalAddr()
	if err != nil {
		return d, nil //nolint:nilerr // ports that the system chooses: the node cannot be found
	}
	cfg, err := n.ComposeQuery(version, log)
	if err != nil {
		return doctor.Config{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, doctorAsk)
	defer cancel()
	st, err := clientnode.QueryStatus(ctx, cfg, addr)
	if err != nil {
		return d, nil //nolint:nilerr // it does not run
	}
	d.Running, d.Listen, d.Used = cmp.Or(st.Reach, "unknown"), nil, st.DiskBytes
	return d, nil
}

// listenPort returns the first fixed port of a node; 0 for none.
func listenPort(listen []string) int {
	for _, text := range listen {
		a, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			continue
		}
		for _, code := range []int{multiaddr.P_TCP, multiaddr.P_UDP} {
			if value, err := a.ValueForProtocol(code); err == nil {
				if port, err := strconv.Atoi(value); err == nil && port != 0 {
					return port
				}
			}
		}
	}
	return 0
}
