package archtest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestModulePath gives a copy of the module another path: every import of ours then names a folder below the new one.
func TestModulePath(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	const path = "example.org/you/walrus"
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copySources(t, root, dir)
	if out, err := exec.CommandContext(t.Context(), "bash", filepath.Join(dir, "scripts/module-path.sh"),
		path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !strings.HasPrefix(string(mod), "module "+path+"\n") {
		t.Fatalf("go.mod: %v", err)
	}
	ours := 0
	for _, f := range readSources(t, dir) {
		for _, imp := range f.imports {
			if imp == ownModule || strings.HasPrefix(imp, ownModule+"/") {
				t.Errorf("%s still imports %s", f.name, imp)
			}
			rel, own := strings.CutPrefix(imp, path)
			if !own {
				continue
			}
			ours++
			if st, err := os.Stat(filepath.Join(root, filepath.FromSlash(rel))); err != nil || !st.IsDir() {
				t.Errorf("%s imports %s, which is no folder of the module", f.name, imp)
			}
		}
	}
	if ours < 100 {
		t.Errorf("only %d imports were looked at", ours)
	}
	if out, err := exec.CommandContext(t.Context(), "bash", filepath.Join(dir, "scripts/module-path.sh"),
		"no path").CombinedOutput(); err == nil {
		t.Errorf("a path that is none was taken: %s", out)
	}
}

// copySources copies what the script changes, and the script.
func copySources(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		switch filepath.Ext(name) {
		case ".go", ".mod", ".proto", ".sh":
		default:
			return nil
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
