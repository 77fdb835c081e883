package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "man FOLDER",
		Short: "write the manual pages",
		Long: `Write a manual page for each command into FOLDER, which is made if missing.

  walrus man ~/.local/share/man/man1
  man walrus-store-quilt

--json prints {"folder","pages"}.`,
		Args: args(cobra.ExactArgs(1), "one FOLDER"),
		RunE: func(_ *cobra.Command, args []string) error { return a.man(args[0]) },
	}
}

func (a *app) man(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil { //nolint:gosec // the user's own folder: the umask decides
		return err
	}
	// A new root has flags of its own.
	root := newRoot(&app{terminal: terminal{stdin: a.stdin, stdout: a.stdout, stderr: a.stderr}, env: a.env})
	forManual(root)
	if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "walrus " + version, Manual: "Walrus"},
		dir); err != nil {
		return fmt.Errorf("write manual pages: %w", err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "walrus*.1"))
	if err != nil {
		return err
	}
	return a.result(struct {
		Folder string `json:"folder"`
		Pages  int    `json:"pages"`
	}{absolute(dir), len(pages)}, "%s in %s\n", plural(len(pages), "page"), visible(dir))
}

// forManual turns the help texts into Markdown, for the library. Indented text stays as it is.
func forManual(c *cobra.Command) {
	c.DisableAutoGenTag = true
	var b strings.Builder
	before := ""
	for line := range strings.SplitSeq(c.Long, "\n") {
		if strings.HasPrefix(line, "  ") {
			if before != "" && !strings.HasPrefix(before, "  ") {
				b.WriteByte('\n')
			}
			line = "  " + line
		}
		b.WriteString(line + "\n")
		before = line
	}
	c.Long = b.String()
	for _, sub := range c.Commands() {
		forManual(sub)
	}
}
