package pinapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	remote "github.com/ipfs/boxo/pinning/remote/client"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multiaddr"

	"walrus/pin"
	"walrus/shards"
)

// TestRemoteClient does with boxo's client, as IPFS nodes have it, everything that the client can do.
func TestRemoteClient(t *testing.T) {
	s := serve(t)
	c := remote.NewClient(s.url, s.token)
	ctx := t.Context()
	blob := func(i byte) cid.Cid {
		id, err := cid.Decode(pin.CID(shards.BlobID{i}))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	origin := multiaddr.StringCast("/ip4/127.0.0.1/tcp/9")
	st, err := c.Add(ctx, blob(1), remote.PinOpts.WithName("one"), remote.PinOpts.AddMeta(map[string]string{"a": "b"}), remote.PinOpts.WithOrigins(origin))
	if err != nil {
		t.Fatal(err)
	}
	if p := st.GetPin(); st.GetStatus() != remote.StatusQueued || p.GetCid() != blob(1) || p.GetName() != "one" || p.GetMeta()["a"] != "b" ||
		!slices.Equal(p.GetOrigins(), []string{origin.String()}) || len(st.GetDelegates()) != 1 {
		t.Fatalf("added: %+v", st)
	}
	for i := range byte(30) {
		if _, err := c.Add(ctx, blob(i+2), remote.PinOpts.WithName(fmt.Sprintf("more %d", i))); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		count int
		opts  []remote.LsOption
	}{
		{0, nil}, // none is pinned yet
		{31, []remote.LsOption{remote.PinOpts.FilterStatus(remote.StatusQueued, remote.StatusPinning)}}, // pages of 10
		{31, []remote.LsOption{remote.PinOpts.FilterStatus(remote.StatusQueued), remote.PinOpts.Limit(1000)}},
		{2, []remote.LsOption{remote.PinOpts.FilterCIDs(blob(1), blob(7)), remote.PinOpts.FilterStatus(remote.StatusQueued)}},
		{1, []remote.LsOption{remote.PinOpts.FilterName("one")}},
		{30, []remote.LsOption{remote.PinOpts.FilterAfter(st.GetCreated()), remote.PinOpts.FilterStatus(remote.StatusQueued)}},
		{0, []remote.LsOption{remote.PinOpts.FilterBefore(st.GetCreated()), remote.PinOpts.FilterStatus(remote.StatusQueued)}},
	} {
		list, err := c.LsSync(ctx, tt.opts...)
		if err != nil || len(list) != tt.count {
			t.Errorf("%d pins, want %d: %v", len(list), tt.count, err)
		}
	}
	s.pins.set(st.GetRequestId(), func(r *pin.Request) { r.Status = pin.Pinned })
	if list, err := c.LsSync(ctx); err != nil || len(list) != 1 || list[0].GetPin().GetCid() != blob(1) {
		t.Errorf("pinned: %v, %v", list, err)
	}
	if got, err := c.GetStatusByID(ctx, st.GetRequestId()); err != nil || got.GetStatus() != remote.StatusPinned || got.GetInfo()["blob_id"] == "" {
		t.Errorf("status: %v, %v", got, err)
	}
	other, err := c.Replace(ctx, st.GetRequestId(), blob(99))
	if err != nil || other.GetRequestId() == st.GetRequestId() || other.GetPin().GetCid() != blob(99) {
		t.Fatalf("replace: %v, %v", other, err)
	}
	if _, err := c.GetStatusByID(ctx, st.GetRequestId()); err == nil || !strings.Contains(err.Error(), reasonNotFound) {
		t.Errorf("a replaced request: %v", err)
	}
	if err := c.DeleteByID(ctx, other.GetRequestId()); err != nil {
		t.Error(err)
	}
	if _, err := remote.NewClient(s.url, "wrong").LsSync(ctx); err == nil || !strings.Contains(err.Error(), "UNAUTHORIZED") {
		t.Errorf("with a wrong token: %v", err)
	}
}
