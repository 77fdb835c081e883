package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"walrus/internal/userfile"
)

// Folder is the folder of a node's home that holds its alerts, EvidenceFolder the one with the proofs, both relative to
// the home. bookFile is the file of the last alerts in Folder.
const (
	Folder         = "alerts"
	EvidenceFolder = "alerts/evidence"
	bookFile       = "alerts.json"
)

const (
	// maxEvidence bounds one file of evidence: metadata of 1,000 shards as JSON, and receipts.
	maxEvidence = 1 << 20
	// maxEvidences and maxEvidenceBytes bound all files of evidence together. The oldest are removed.
	maxEvidences, maxEvidenceBytes = 100, 16 << 20
	// maxBook bounds the file of the last alerts.
	maxBook = 4 << 20
)

// Files keeps the evidence and the last alerts in a node's home. Its caller serializes the calls.
type Files struct{ home string }

// OpenFiles makes the folders in a node's home. Only the owner may read them.
func OpenFiles(home string) (*Files, error) {
	if err := os.MkdirAll(filepath.Join(home, filepath.FromSlash(EvidenceFolder)), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for alerts: %w", err)
	}
	return &Files{home}, nil
}

// Keep writes evidence, JSON for people and walrus monitor verify, and returns the name of its file. The same evidence
// has the same name: known reports that it was there already. The oldest files make room.
func (f *Files) Keep(evidence []byte, now time.Time) (name string, known bool, err error) {
	if len(evidence) > maxEvidence {
		return "", false, fmt.Errorf("keep evidence of %d bytes: at most %d", len(evidence), maxEvidence)
	}
	sum := sha256.Sum256(evidence)
	id := hex.EncodeToString(sum[:8])
	list, err := f.list()
	if err != nil {
		return "", false, err
	}
	for _, e := range list {
		if strings.HasSuffix(e.name, "-"+id+".json") {
			return e.name, true, nil
		}
	}
	name = now.UTC().Format("20060102T150405Z") + "-" + id + ".json"
	if err := userfile.CreateNew(f.path(name), evidence, 0o600); err != nil {
		return "", false, hidePath("keep evidence", err)
	}
	return name, false, f.prune(append(list, evidenceFile{name, int64(len(evidence))}))
}

type evidenceFile struct {
	name string
	size int64
}

func (f *Files) path(name string) string {
	return filepath.Join(f.home, filepath.FromSlash(EvidenceFolder), name)
}

// list returns the files of evidence, oldest first.
func (f *Files) list() (list []evidenceFile, err error) {
	entries, err := os.ReadDir(filepath.Join(f.home, filepath.FromSlash(EvidenceFolder)))
	if err != nil {
		return nil, hidePath("list evidence", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && strings.HasSuffix(e.Name(), ".json") {
			list = append(list, evidenceFile{e.Name(), info.Size()})
		}
	}
	slices.SortFunc(list, func(a, b evidenceFile) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// prune removes the oldest files until the rest is within the bounds.
func (f *Files) prune(list []evidenceFile) error {
	total := int64(0)
	for _, e := range list {
		total += e.size
	}
	for len(list) > maxEvidences || total > maxEvidenceBytes {
		if err := os.Remove(f.path(list[0].name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return hidePath("remove old evidence", err)
		}
		total, list = total-list[0].size, list[1:]
	}
	return nil
}

// Save writes the book.
func (f *Files) Save(b *Book) error {
	raw, err := b.Marshal()
	if err != nil {
		return err
	}
	if err := userfile.Replace(filepath.Join(f.home, Folder, bookFile), raw); err != nil {
		return hidePath("write the last alerts", err)
	}
	return nil
}

// LoadBook reads the book of node n in its home. A node without alerts has an empty one.
func LoadBook(home string, n Node) (*Book, error) {
	path := filepath.Join(home, Folder, bookFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return NewBook(n), nil
	}
	if err == nil && info.Size() > maxBook {
		err = fmt.Errorf("%d bytes: at most %d", info.Size(), maxBook)
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the last alerts: %w", err)
	}
	return UnmarshalBook(n, raw)
}

// hidePath removes the path from an error of the file system: it may come into a log that others read.
func hidePath(doing string, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &link):
		err = link.Err
	default:
		err = errors.New("the file system refused")
	}
	return fmt.Errorf("%s: %w", doing, err)
}
