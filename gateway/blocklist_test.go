package gateway

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"walrus/shards"
)

const blockedID = "M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk"

func TestParseBlocklist(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "[]\n": "", "# nothing\n\n": "", "- " + blockedID: blockedID, blockedID + "\r\n": blockedID,
		"---\n  - \"" + blockedID + "\" # for a reason\n": blockedID, "- 'xyz'": "line 1", "\n- " + blockedID + "=": "line 2",
	} {
		listed, err := parseBlocklist(strings.NewReader(text))
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
func TestMarkedBlocklist(t *testing.T) {
	const id = "M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk"
	for _, text := range []string{"\ufeff" + id + "\n", "\ufeff# a comment\n- " + id + "\n"} {
		listed, err := parseBlocklist(strings.NewReader(text))
		if err != nil || len(listed) != 1 {
			t.Errorf("%q: %v, %v", text, listed, err)
		}
	}
}

// TestBlocklistChanges: a changed list counts at once, and a broken one leaves the old list in place.
func TestBlocklistChanges(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
		b, err := openBlocklist(path)
		if err != nil || b.has(id) {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var told []error
		go b.run(ctx, func(err error) { told = append(told, err) })
		for _, step := range []struct {
			text    string
			blocked bool
			told    int
		}{{"- " + blockedID, true, 0}, {"nonsense", true, 1}, {"more nonsense", true, 1}, {"# none", false, 1}} {
			write(step.text)
			time.Sleep(2 * blocklistLook) // virtual
			synctest.Wait()
			if b.has(id) != step.blocked || len(told) != step.told {
				t.Errorf("%q: blocked %v, told %v", step.text, b.has(id), told)
			}
		}
		stop()
	})
	if _, err := openBlocklist(path + ".missing"); err == nil {
		t.Error("a list that is not there was read")
	}
}
