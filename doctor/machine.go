package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"walrus/internal/badgerdisk"
)

// ownAddrs lists the addresses of this computer's interfaces, loopback and link-local ones excluded.
func ownAddrs() (list []netip.Addr) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range all {
		ip, err := netip.ParsePrefix(a.String())
		if err == nil && !ip.Addr().IsLoopback() && !ip.Addr().IsLinkLocalUnicast() {
			list = append(list, ip.Addr().Unmap())
		}
	}
	return list
}

// syncs is the number of writes whose median time counts.
const syncs = 9

// examineDisk measures the folder with the data, or its nearest parent that exists.
func examineDisk(dir string, limit, used uint64) *Disk {
	d := &Disk{Dir: dir, Limit: limit, Used: used}
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	if free, err := badgerdisk.Free(dir); err == nil && free > 0 {
		d.Free = uint64(free)
	}
	var err error
	if d.Sync, err = syncTime(dir); err != nil {
		d.Err = err.Error()
	}
	return d
}

// syncTime returns the median time of a small write that is made safe.
func syncTime(dir string) (median time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, fmt.Errorf("write to %s: %w", dir, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var times []time.Duration
	block := make([]byte, 4096)
	for range syncs {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
