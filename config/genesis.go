package config

import (
	"fmt"
	"os"
	"path/filepath"

	"walrus/internal/userfile"
	"walrus/ledger"
)

// InspectGenesis reads the genesis at path and lists all its problems. If it cannot be read, err says why.
func InspectGenesis(path string) (g *ledger.Genesis, problems []error, err error) {
	raw, err := readFile(path, ledger.MaxGenesisSize)
	if err != nil {
		return nil, nil, fmt.Errorf("read genesis: %w", err)
	}
	g, problems = ledger.InspectGenesis(raw)
	return g, problems, nil
}

// CreateGenesis writes a new genesis file. An existing file is never replaced: the error then wraps fs.ErrExist.
func CreateGenesis(path string, g *ledger.Genesis) error {
	text, err := g.Marshal()
	if err != nil {
		return err
	}
	return userfile.CreateNew(path, text, 0o644)
}

// AddMembers adds members to the genesis at path, which may still lack some. The files at entries hold them, as walrus
// node init prints them. It lists all problems of the file or the entries; if there are any, the file stays unchanged.
func AddMembers(path string, entries []string) (g *ledger.Genesis, problems []error, err error) {
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), DefaultNode().Ledger)); err == nil {
		return nil, nil, fmt.Errorf("%s belongs to a network that has started (there is a ledger beside it): "+
			"adding a member would make it the genesis of another network", path)
	}
	raw, err := readFile(path, ledger.MaxGenesisSize)
	if err != nil {
		return nil, nil, fmt.Errorf("read genesis: %w", err)
	}
	g, bad := ledger.ReadGenesis(raw)
	problems = append(problems, within(path, bad)...)
	var more []ledger.GenesisMember
	for _, entry := range entries {
		raw, err := readFile(entry, ledger.MaxGenesisSize)
		if err != nil {
			return nil, nil, fmt.Errorf("read entry: %w", err)
		}
		members, bad := ledger.ParseMembers(raw)
		problems = append(problems, within(entry, bad)...)
		more = append(more, members...)
	}
	if len(problems) == 0 {
		problems = within(path, g.AddMembers(more))
	}
	if len(problems) > 0 {
		return nil, problems, nil
	}
	text, err := g.Marshal()
	if err != nil {
		return nil, nil, err
	}
	return g, nil, userfile.Replace(path, text)
}

func within(path string, problems []error) []error {
	for i, p := range problems {
		problems[i] = fmt.Errorf("%s: %w", path, p)
	}
	return problems
}
