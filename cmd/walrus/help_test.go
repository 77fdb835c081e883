package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"walrus/client"
	"walrus/ledger"
	"walrus/shards"
)

// everyCommand calls f with each of our commands that users can see.
func everyCommand(c *cobra.Command, f func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		if !sub.Hidden && sub.Name() != "help" && sub.Name() != "completion" {
			f(sub)
			everyCommand(sub, f)
		}
	}
}

// examples returns the command lines in a help text, without comments and output.
func examples(c *cobra.Command) (lines []string) {
	for line := range strings.Lines(c.Long + "\n" + c.Example) {
		if strings.HasPrefix(line, "  ") && strings.Contains(line, "walrus ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// TestEveryCommandTeaches: each command has a one-line description and its own example.
func TestEveryCommandTeaches(t *testing.T) {
	root := newRoot(&app{terminal: terminal{stdout: &output{w: &bytes.Buffer{}}}, env: noEnv})
	everyCommand(root, func(c *cobra.Command) {
		if c.Short == "" || c.Long == "" || c.Short[0] >= 'A' && c.Short[0] <= 'Z' && !strings.HasPrefix(c.Short, "HTTP") ||
			strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short %q and a long text of %d bytes", c.CommandPath(), c.Short, len(c.Long))
		}
		own := regexp.MustCompile(regexp.QuoteMeta(c.CommandPath()) + `\b`)
		found := false
		for _, line := range examples(c) {
			found = found || own.MatchString(line)
		}
		if !found {
			t.Errorf("%s: no example of its own", c.CommandPath())
		}
		if c.Parent() == root && c.GroupID == "" {
			t.Errorf("%s is in no group", c.CommandPath())
		}
	})
}

// TestExamplesParse: the help texts use existing commands and flags.
func TestExamplesParse(t *testing.T) {
	root := newRoot(&app{terminal: terminal{stdout: &output{w: &bytes.Buffer{}}}, env: noEnv})
	seen := 0
	check := func(of *cobra.Command) {
		for _, line := range examples(of) {
			for _, part := range regexp.MustCompile(`(?:^|[|;&(] ?)walrus ([^|;&#>]*)`).FindAllStringSubmatch(line, -1) {
				words := strings.Fields(part[1])
				c, rest, err := root.Find(words)
				if err != nil || c == root && len(words) > 0 && !strings.HasPrefix(words[0], "-") {
					t.Errorf("%s: %q: %v", of.CommandPath(), line, err)
					continue
				}
				for _, word := range rest {
					name, isFlag := strings.CutPrefix(word, "--")
					if name, _, _ = strings.Cut(name, "="); isFlag && name != "" && name != "help" && c.Flag(name) == nil {
						t.Errorf("%s: %q: %s has no flag --%s", of.CommandPath(), line, c.CommandPath(), name)
					}
				}
				seen++
			}
		}
	}
	check(root)
	everyCommand(root, check)
	if seen < 60 {
		t.Errorf("only %d examples were found", seen)
	}
}

func TestDidYouMean(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"store --epoch 3 x", "unknown flag: --epoch: did you mean --epochs? (see walrus store --help)"},
		{"read --rnge 0-1 x", "did you mean --range?"},
		{"health --jsn", "did you mean --json?"},
		{"daemon --max-body-sise 3", "did you mean --max-body-size?"},
		{"wallet faucet --ammount 3", "did you mean --amount?"},
		{"store --waffle x", "unknown flag: --waffle (see walrus store --help)"},
		{"store -z x", "unknown shorthand flag: 'z' in -z (see walrus store --help)"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(tt.line), nil, &stdout, &stderr, noEnv); code != exitUsage ||
			!strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%s: exit code %d, %s: want %q", tt.line, code, &stderr, tt.want)
		}
	}
}

func TestManualPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "man1")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"man", dir}, nil, &stdout, &stderr, noEnv); code != exitDone {
		t.Fatalf("exit code %d, %s", code, &stderr)
	}
	root := newRoot(&app{terminal: terminal{stdout: &output{w: &bytes.Buffer{}}}, env: noEnv})
	everyCommand(root, func(c *cobra.Command) {
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"))
		if err != nil {
			t.Error(err)
			return
		}
		for _, line := range examples(c) { // each on its own line, as in the help
			escaped := strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\[rs]`, `\`, `\\`, `\`).Replace(string(page))
			if !strings.Contains(escaped, "\n"+line) && !strings.Contains(escaped, "\n  "+line) {
				t.Errorf("%s: %q is not in its page", c.CommandPath(), line)
			}
		}
	})
}

func TestCompletions(t *testing.T) {
	var id, other shards.BlobID
	id[0], other[0] = 1, 2
	var first, second, third ledger.ObjectID
	first[0], second[0], third[0] = 1, 2, 3
	list := []client.OwnedBlob{
		{Object: first, Blob: ledger.Blob{BlobID: id, Size: 1 << 20, End: 7, Certified: 1, Deletable: true}},
		{Object: second, Blob: ledger.Blob{BlobID: id, Size: 1 << 20, End: 9, Certified: 1}},
		{Object: third, Blob: ledger.Blob{BlobID: other, Size: 3, End: 9}},
	}
	describe := func(name, rest string) string { return name + "\t" + rest }
	for _, tt := range []struct {
		records bool
		typed   string
		want    []string
	}{
		{false, "", []string{describe(id.String(), "1.00 MiB, until the start of epoch 7, deletable"),
			describe(other.String(), "3 B, until the start of epoch 9, permanent, not certified: store it again to finish")}},
		{true, "", []string{describe(first.String(), "1.00 MiB, until the start of epoch 7, deletable"),
			describe(second.String(), "1.00 MiB, until the start of epoch 9, permanent"),
			describe(other.String(), "3 B, until the start of epoch 9, permanent, not certified: store it again to finish")}},
		{true, "0x03", []string{describe(third.String(),
			"3 B, until the start of epoch 9, permanent, not certified: store it again to finish")}},
		{false, other.String()[:3], []string{describe(other.String(),
			"3 B, until the start of epoch 9, permanent, not certified: store it again to finish")}},
		{false, "zzz", nil},
	} {
		if got := blobCompletions(list, tt.records, tt.typed); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%v, %q: got\n%s\nwant\n%s", tt.records, tt.typed, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}
