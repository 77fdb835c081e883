package blocklist

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"walrus/shards"
)

const (
	blockedID = "M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk"
	otherID   = "oTiDMYR4mOrx88o-EzzfTy-UdC5OdoP04YGFEZDg6W8"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "[]\n": "", "# nothing\n\n": "", "- " + blockedID: blockedID, blockedID + "\r\n": blockedID,
		"---\n  - \"" + blockedID + "\" # for a reason\n": blockedID, "- 'xyz'": "line 1", "\n- " + blockedID + "=": "line 2",
	} {
		listed, err := parse(strings.NewReader(text))
		switch {
		case strings.HasPrefix(want, "line"):
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
		case err != nil || len(listed) != len(want)/len(blockedID):
			t.Errorf("%q: %v, %v", text, listed, err)
		}
	}
}

// TestMarkedBlocklist reads a list that begins with the mark that some editors write.
func TestMark(t *testing.T) {
	for _, text := range []string{"\ufeff" + blockedID + "\n", "\ufeff# a comment\n- " + blockedID + "\n"} {
		listed, err := parse(strings.NewReader(text))
		if err != nil || len(listed) != 1 {
			t.Errorf("%q: %v, %v", text, listed, err)
		}
	}
}

// TestBlocklistChanges: a changed list counts at once, and a broken one leaves the old list in place.
func TestChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blocked.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	id, err := shards.ParseBlobID(blockedID)
	if err != nil {
		t.Fatal(err)
	}
	other, err := shards.ParseBlobID(otherID)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b, err := Open(path)
		if err != nil || b.Has(id) {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var told []error
		var changed []shards.BlobID
		go b.Run(ctx, func(err error) { told = append(told, err) }, func(ids []shards.BlobID) { changed = append(changed, ids...) })
		for _, step := range []struct {
			text    string
			blocked bool
			told    int
			changed []shards.BlobID
		}{
			{"- " + blockedID, true, 0, []shards.BlobID{id}}, {blockedID + "\n" + otherID, true, 0, []shards.BlobID{other}},
			{"nonsense", true, 1, nil}, {"more nonsense", true, 1, nil}, {otherID, false, 1, []shards.BlobID{id}},
		} {
			changed = nil
			write(step.text)
			time.Sleep(2 * look) // virtual
			synctest.Wait()
			if b.Has(id) != step.blocked || len(told) != step.told || !slices.Equal(changed, step.changed) {
				t.Errorf("%q: blocked %v, told %v, changed %v", step.text, b.Has(id), told, changed)
			}
		}
		stop()
	})
	if _, err := Open(path + ".missing"); err == nil {
		t.Error("a list that is not there was read")
	}
}
