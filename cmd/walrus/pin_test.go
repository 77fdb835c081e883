package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	remote "github.com/ipfs/boxo/pinning/remote/client"
	"github.com/ipfs/go-cid"

	"walrus/config"
	"walrus/pin"
	"walrus/pinapi"
	"walrus/shards"
)

// pinner is a pin process of a cluster.
type pinner struct {
	c    *cluster
	home string
	proc *proc
	up   struct{ PeerID, PinningAPI, Metrics string }
}

// newPinner starts a pin process with a home of its own, whose path is short enough for a socket.
func (c *cluster) newPinner() *pinner {
	c.t.Helper()
	home, err := os.MkdirTemp("", "pin")
	if err != nil {
		c.t.Fatal(err)
	}
	p := &pinner{c: c, home: home}
	c.t.Cleanup(func() {
		if err := errors.Join(p.proc.kill(), os.RemoveAll(home)); err != nil {
			c.t.Error(err)
		}
	})
	p.block("")
	p.start()
	return p
}

func (p *pinner) blocklist() string { return filepath.Join(p.home, "blocked.txt") }

// block replaces the blocklist.
func (p *pinner) block(text string) {
	p.c.t.Helper()
	if err := os.WriteFile(p.blocklist(), []byte(text), 0o600); err != nil {
		p.c.t.Fatal(err)
	}
}

func (p *pinner) start() {
	p.c.t.Helper()
	var err error
	p.proc, err = startProc(context.Background(), filepath.Join(p.c.dir, "pin.log"), "pin", "run", "--home", p.home, "--config", p.c.net.Client,
		"--listen", "/ip4/127.0.0.1/tcp/0", "--pinning-api", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--limit", "1GiB", "--json",
		"--blocklist", p.blocklist())
	if err != nil {
		p.c.t.Fatal(err)
	}
	line, err := p.proc.ready()
	if err == nil {
		err = json.Unmarshal([]byte(line), &p.up)
	}
	if err != nil {
		p.c.t.Fatal(err)
	}
}

// run runs a pin command with this pinner's home, and decodes its JSON into out unless that is nil.
func (p *pinner) run(code int, out any, args ...string) result {
	p.c.t.Helper()
	r := p.c.walrus(code, append([]string{"pin"}, append(args, "--home", p.home, "--json")...)...)
	if out != nil {
		p.c.parse(r, out)
	}
	return r
}

// await asks the pinning API until a request has a status.
func await(t *testing.T, api *remote.Client, id string, want remote.Status,
	limit time.Duration) (st remote.PinStatusGetter, after time.Duration) {
	t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for start := time.Now(); ; <-poll.C {
		st, err := api.GetStatusByID(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if after = time.Since(start); st.GetStatus() == want {
			return st, after
		}
		if after > limit {
			t.Fatalf("after %s the request is %s, not %s: %v", after, st.GetStatus(), want, st.GetInfo())
		}
	}
}

// awaitPin waits until a blob has a pin with a name and a status.
func (p *pinner) awaitPin(b blob, name string, want pin.Status) time.Duration {
	p.c.t.Helper()
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	for start := time.Now(); ; <-poll.C {
		var page pinapi.List
		p.run(exitDone, &page, "ls", "--blob", b.id, "--name", name, "--status", string(want))
		if page.Total == 1 {
			return time.Since(start)
		}
		if time.Since(start) > time.Minute {
			p.c.t.Fatalf("blob %s is not %s as %q: %s", b.id, want, name, p.run(exitDone, nil, "ls").stdout)
		}
	}
}

// TestPins pins blobs of a network with commands and with an IPFS node's client, kills the pin process, and carries the
// copies elsewhere. A rescue pays only for what ends soon.
func TestPins(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes")
	}
	t.Parallel() // mostly waits for processes
	seed, rnd := seeded(t)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 10})
	c.awaitHealth()
	first, _ := c.newBlob(rnd, 2<<20+17, exitDone)
	second, _ := c.newBlob(rnd, 100_000, exitDone)
	ids := map[string]shards.BlobID{}
	for _, b := range []blob{first, second} {
		id, err := shards.ParseBlobID(b.id)
		if err != nil {
			t.Fatal(err)
		}
		ids[b.id] = id
	}
	p := c.newPinner()

	// An IPFS node's client.
	var token struct{ Token string }
	p.run(exitDone, &token, "token", "add", "test")
	api := remote.NewClient(p.up.PinningAPI, token.Token)
	decode := func(text string) cid.Cid {
		got, err := cid.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	st, err := api.Add(t.Context(), decode(pin.CID(ids[first.id])),
		remote.PinOpts.WithName("first"), remote.PinOpts.AddMeta(map[string]string{"a": "b"}))
	if err != nil {
		t.Fatal(err)
	}
	got, after := await(t, api, st.GetRequestId(), remote.StatusPinned, time.Minute)
	if got.GetInfo()["blob_id"] != first.id || got.GetInfo()["percent"] != "100" {
		t.Errorf("pinned: %v", got.GetInfo())
	}
	t.Logf("pinned after %s", after)
	foreign, err := api.Add(t.Context(), decode("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"))
	if err != nil {
		t.Fatal(err)
	}
	if st, after := await(t, api, foreign.GetRequestId(), remote.StatusFailed, 10*time.Second); st.GetInfo()["reason"] == "" {
		t.Errorf("the CID of something else failed after %s without a reason", after)
	}

	// Commands.
	var list []pinapi.Pin
	p.run(exitDone, &list, "add", second.id, "--name", "second", "--wait")
	if len(list) != 1 || list[0].Status != pin.Pinned || list[0].Size != 100_000 {
		t.Fatalf("added: %+v", list)
	}
	p.run(exitDone, &list, "add", "--owner", c.address(), "--name", "owned", "--wait")
	if len(list) != 2 {
		t.Errorf("%d blobs of the owner were pinned, not 2", len(list))
	}
	p.run(exitNotFound, nil, "add", "--owner", c.address(), "--attribute", "no=where")
	var page pinapi.List
	if p.run(exitDone, &page, "ls", "--status", "pinned"); page.Total != 4 {
		t.Errorf("%d pins, not 4: %+v", page.Total, page)
	}
	p.run(exitDone, nil, "verify")

	// Killed: the records are there at once, and the process goes on where it was.
	if err := p.proc.kill(); err != nil {
		t.Fatal(err)
	}
	var s pinapi.Status
	if p.run(exitDone, &s, "status"); s.Running || s.Pinned != 2 || s.Requests != 5 {
		t.Errorf("after a kill: %+v", s)
	}
	p.start()
	if p.run(exitDone, &s, "status"); !s.Running || s.Pinned != 2 || s.PeerID != p.up.PeerID || s.Limit != 1<<30 {
		t.Errorf("after a restart: %+v", s)
	}
	if st, err := remote.NewClient(p.up.PinningAPI, token.Token).GetStatusByID(t.Context(), st.GetRequestId()); err != nil || st.GetStatus() != remote.StatusPinned {
		t.Errorf("after a restart: %v, %v", st, err)
	}
	if r := c.walrus(exitFailed, "pin", "run", "--home", p.home, "--listen", "/ip4/127.0.0.1/tcp/0"); !strings.Contains(r.stderr, "use") {
		t.Errorf("a second process: %s", r.stderr)
	}

	// A blob stored later is pinned by itself.
	p.run(exitDone, nil, "follow", c.address(), "--name", "followed")
	late, _ := c.newBlob(rnd, 50_000, exitDone)
	t.Logf("a followed blob was pinned after %s", p.awaitPin(late, "followed", pin.Pinned))
	p.run(exitDone, nil, "follow", "--attribute", "keep=yes", "--name", "marked")
	marked, _ := c.newBlob(rnd, 20_000, exitDone, "--attribute", "keep=yes")
	t.Logf("a blob with a followed attribute was pinned after %s", p.awaitPin(marked, "marked", pin.Pinned))
	p.run(exitDone, nil, "follow", "--remove", "--attribute", "keep=yes")
	p.run(exitDone, nil, "follow", "--remove", c.address())
	p.run(exitDone, nil, "rm", marked.id)
	p.run(exitNotFound, nil, "follow", "--remove", c.address())

	c.pinsQuilt(p)

	// Copies in a folder are pins elsewhere, without a network.
	out := filepath.Join(c.dir, "out")
	p.run(exitDone, nil, "export", "--dir", out)
	other := &pinner{c: c, home: filepath.Join(c.dir, "other")}
	if other.run(exitDone, &list, "import", out); len(list) != 3 || list[0].Status != pin.Pinned || list[2].Status != pin.Pinned {
		t.Errorf("imported: %+v", list)
	}
	if err := os.WriteFile(filepath.Join(out, first.id+pin.ContentExt), make([]byte, 2<<20+17), 0o600); err != nil {
		t.Fatal(err)
	}
	third := &pinner{c: c, home: filepath.Join(c.dir, "third")}
	third.run(exitFailed, nil, "import", out)

	c.rescues(p, first)

	// A blob that comes to the blocklist is given up, and fetched again when it leaves the list.
	p.block("# not here\n- " + second.id + "\n")
	t.Logf("a blocked blob was given up after %s", p.awaitPin(second, "second", pin.Failed))
	p.block("")
	t.Logf("a blob that is blocked no more was pinned after %s", p.awaitPin(second, "second", pin.Pinned))

	p.run(exitDone, &list, "rm", second.id)
	if len(list) != 3 {
		t.Errorf("%d requests were removed, not 3", len(list))
	}
	p.run(exitNotFound, nil, "status", second.id)
	if err := p.proc.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// pinsQuilt pins a quilt by its ID, and by the ID of a file in it.
func (c *cluster) pinsQuilt(p *pinner) {
	c.t.Helper()
	var stored struct {
		Blob struct {
			Info struct {
				Object struct{ BlobID string } `json:"blobObject"`
			} `json:"newlyCreated"`
		} `json:"blobStoreResult"`
	}
	var paths []string
	for _, name := range []string{"one.txt", "two.txt"} {
		path := filepath.Join(c.dir, name)
		if err := os.WriteFile(path, []byte(strings.Repeat(name, 1000)), 0o600); err != nil {
			c.t.Fatal(err)
		}
		paths = append(paths, path)
	}
	c.parse(c.walrus(exitDone, append([]string{"store-quilt", "--json", "--paths"}, paths...)...), &stored)
	id := stored.Blob.Info.Object.BlobID
	var list []pinapi.Pin
	if p.run(exitDone, &list, "add", "--quilt", id, "--wait"); len(list) != 1 || len(list[0].Files) != 2 || list[0].Files[1].Identifier != "two.txt" {
		c.t.Errorf("a quilt: %+v", list)
	}
	r := p.run(exitDone, &list, "add", list[0].Files[1].ID.String())
	if len(list) != 1 || list[0].BlobID.String() != id || !strings.Contains(r.stderr, "whole quilt") {
		c.t.Errorf("the file of a quilt: %+v: %s", list, r.stderr)
	}
	var page pinapi.List
	if p.run(exitDone, &page, "ls", "--files", "--blob", id); page.Total != 2 || len(page.Pins[0].Files) != 2 || page.Pins[0].Files[0].Identifier != "one.txt" {
		c.t.Errorf("listed: %+v", page)
	}
	if p.run(exitDone, &page, "ls", "--files"); page.Total < 3 {
		c.t.Errorf("listed: %+v", page)
	}
	plain, err := filepath.Glob(filepath.Join(c.dir, "blob-*"))
	if err != nil || len(plain) == 0 {
		c.t.Fatalf("blobs %v: %v", plain, err)
	}
	none := strings.TrimSpace(c.walrus(exitDone, "blob-id", plain[0]).stdout)
	p.run(exitFailed, nil, "add", "--quilt", none)
	p.run(exitDone, nil, "rm", id)
}

// rescues stores a pinned blob again, once, and only if it ends soon.
func (c *cluster) rescues(p *pinner, b blob) {
	c.t.Helper()
	var list []rescued
	before := c.balance()
	p.run(exitDone, &list, "rescue", b.id, "--within", "0")
	if len(list) != 1 || list[0].Rescued || list[0].End == 0 || c.balance() != before {
		c.t.Errorf("a blob that does not end: %+v", list)
	}
	end := list[0].End
	p.run(exitDone, &list, "rescue", b.id, "--within", "1000", "--epochs", "50", "--dry-run")
	if len(list) != 1 || list[0].Rescued || list[0].NewEnd <= end || list[0].Cost == "0" || c.balance() != before {
		c.t.Errorf("a dry run: %+v", list)
	}
	p.run(exitDone, &list, "rescue", b.id, "--within", "1000", "--epochs", "50")
	if len(list) != 1 || !list[0].Rescued || list[0].NewEnd <= end || c.balance() >= before {
		c.t.Errorf("a rescue: %+v", list)
	}
}

// address returns the account of the cluster's wallet.
func (c *cluster) address() string {
	c.t.Helper()
	w, err := c.config().LoadWallet()
	if err != nil {
		c.t.Fatal(err)
	}
	return w.Address().String()
}
