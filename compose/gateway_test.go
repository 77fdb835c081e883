package compose

import (
	"testing"

	"walrus/config"
	"walrus/gateway"
)

// TestNodeGateway: node.yaml sets the gateway's limits and the address of its metrics.
func TestNodeGateway(t *testing.T) {
	before := gateway.DefaultSite()
	for name, tt := range map[string]struct {
		n       config.Gateway
		body    int64
		metrics string
		ifFree  bool
	}{
		"as it is":  {config.Gateway{}, before.API.Store.MaxBody, before.Metrics, true},
		"larger":    {config.Gateway{MaxBody: "2GiB"}, 2 << 30, before.Metrics, true},
		"elsewhere": {config.Gateway{Metrics: "127.0.0.1:9"}, before.API.Store.MaxBody, "127.0.0.1:9", false},
		"nowhere":   {config.Gateway{Metrics: "none"}, before.API.Store.MaxBody, "", true},
	} {
		gw := gateway.DefaultSite()
		if err := nodeGateway(&gw, &tt.n); err != nil {
			t.Fatal(err)
		}
		if gw.API.Store.MaxBody != tt.body || gw.Metrics != tt.metrics || gw.MetricsIfFree != tt.ifFree {
			t.Errorf("%s: %d bytes, metrics at %q, if free %v", name, gw.API.Store.MaxBody, gw.Metrics, gw.MetricsIfFree)
		}
		if large := tt.n.MaxBody != ""; large != (gw.API.Store.MaxQuiltBody == tt.body) {
			t.Errorf("%s: forms of %d bytes", name, gw.API.Store.MaxQuiltBody)
		}
	}
}
