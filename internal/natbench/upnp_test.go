package natbench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// serveMapping runs miniupnpd, as most home routers do, on a router that forwards ports in one protocol.
func (l *lab) serveMapping(r *host, n int, k kind) {
	enabled := map[bool]string{true: "yes", false: "no"}
	conf := filepath.Join(l.dir, r.name+".conf")
	text := fmt.Sprintf(`ext_ifname=wan
listening_ip=lan
port=5000
enable_upnp=%[4]s
enable_natpmp=%[5]s
min_lifetime=60
max_lifetime=86400
lease_file=%[1]s/%[2]s.leases
secure_mode=yes
system_uptime=yes
uuid=00000000-0000-0000-0000-0000000000%02[3]d
upnp_table_name=upnp
upnp_nat_table_name=upnp
upnp_forward_chain=forwarded
upnp_nat_chain=before
upnp_nat_postrouting_chain=after
allow 1024-65535 192.168.%[3]d.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`, l.dir, r.name, n, enabled[k == upnp], enabled[k == natPMP])
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	cmd := r.command(l.t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(`
table inet upnp {
  chain forwarded { }
  chain before { }
  chain after { }
  chain pre { type nat hook prerouting priority dstnat - 1; jump before; }
  chain post { type nat hook postrouting priority srcnat - 1; jump after; }
}`)
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("rules of %s: %v\n%s", r.name, err, out)
	}
	r.start(r.name+"-upnpd", "miniupnpd", "-d", "-f", conf, "-P", filepath.Join(l.dir, r.name+".pid"))
}
