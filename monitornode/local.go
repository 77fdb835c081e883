package monitornode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"walrus/internal/socket"
	"walrus/monitor"
)

// Status describes a monitor.
type Status struct {
	Running   bool                  `json:"running"`
	Version   string                `json:"version"`
	Network   string                `json:"network"`
	PeerID    string                `json:"peerId"`
	Addresses []string              `json:"addresses"`
	Started   time.Time             `json:"started"`
	Round     monitor.RoundInfo     `json:"round"`
	Prober    monitor.ProberStatus  `json:"prober"`
	Self      monitor.MonitorInfo   `json:"self"` // as others see this monitor
	Nodes     []monitor.NodeScore   `json:"nodes"`
	Monitors  []monitor.MonitorInfo `json:"monitors"`
	Risk      monitor.Risk          `json:"risk"`
}

// Status describes the monitor now.
func (n *Node) Status() Status {
	s := Status{
		Running: true, Version: n.cfg.Version, Network: n.cfg.Genesis.Network, PeerID: n.host.ID().String(), Addresses: n.Addrs(),
		Started: n.started, Round: n.watch.Round(), Prober: n.prober.Status(), Nodes: n.watch.Scores(), Monitors: n.watch.Monitors(), Risk: n.watch.Risk(),
		Self: monitor.MonitorInfo{Monitor: n.host.ID(), Kind: monitor.Unbonded}, // until it has attested
	}
	s.Self.Monitor = n.host.ID() // alone before its first attestation: an empty peer ID cannot be read back
	for i := range s.Monitors {
		if s.Monitors[i].Monitor == n.host.ID() {
			s.Self = s.Monitors[i]
		}
	}
	return s
}

// localHandler answers commands on this machine: whoever may open the socket is the owner.
func (n *Node) localHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		s := n.Status()
		_ = json.NewEncoder(w).Encode(&s) // a reader who has left needs no answer
	})
	return mux
}

// ErrNotRunning: no monitor runs with that home.
var ErrNotRunning = errors.New("no monitor is running")

// maxStatus bounds a status, in bytes: 1,000 nodes and 5,000 monitors.
const maxStatus = 16 << 20

// QueryStatus asks the monitor with a home. ErrNotRunning: there is none.
func QueryStatus(ctx context.Context, home string) (s Status, err error) {
	c, err := socket.Dial(ctx, SocketPath(home))
	if errors.Is(err, socket.ErrNotRunning) {
		return s, fmt.Errorf("%w with home %s", ErrNotRunning, home)
	}
	if err != nil {
		return s, fmt.Errorf("ask the monitor of %s: %w", home, err)
	}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://monitor/status", nil)
	if err != nil {
		return s, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return s, fmt.Errorf("ask the monitor: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxStatus+1))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return s, fmt.Errorf("ask the monitor: %w", err)
	}
	if len(raw) > maxStatus {
		return s, fmt.Errorf("ask the monitor: its status has more than %d bytes", maxStatus)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("ask the monitor: its status is malformed: %w", err)
	}
	return s, nil
}
