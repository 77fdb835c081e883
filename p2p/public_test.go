package p2p

import "testing"

func TestIsPublic(t *testing.T) {
	for a, want := range map[string]bool{
		"/ip4/44.1.0.1/tcp/1": true, "/ip6/2a00::1/udp/1/quic-v1": true, "/dns4/node.example.org/tcp/1": true, "/dns/example.org./tcp/1": true,
		"/ip4/192.168.1.1/tcp/1": false, "/ip4/100.64.1.1/tcp/1": false, "/ip4/127.0.0.1/tcp/1": false, "/ip4/0.0.0.0/tcp/1": false, "/ip6/::/tcp/1": false,
		"/dns4/localhost/tcp/1": false, "/dns/node-0/tcp/1": false, "/dns6/nas.local/tcp/1": false, "/dns4/db.lan/tcp/1": false, "nonsense": false,
	} {
		if got := IsPublic("/ip4/10.0.0.1/tcp/1", a); got != want {
			t.Errorf("%s: %v, want %v", a, got, want)
		}
	}
}
