// Package config turns the files, environment variables and flags that people edit into the Configs of a process's
// parts. The files: node.yaml in a node's home, client.yaml or walrus.yaml for a client, key files, and all of these
// for a devnet. Unknown keys are errors, and every error names the file and says what to do. The package decides
// nothing and opens no network. Only cmd imports it. Start with LoadNode, LoadClient and InitDevnet.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"walrus/internal/userfile"
	"walrus/ledger"
)

// Environment variables. A flag overrides a variable, a variable overrides a file.
const (
	// EnvConfig names the client's configuration file.
	EnvConfig = "WALRUS_CONFIG"
	// EnvLogLevel overrides log.level of any file.
	EnvLogLevel = "WALRUS_LOG_LEVEL"
)

// Env looks up an environment variable, "" if it is not set. It is os.Getenv except in tests.
type Env func(name string) string

// maxFileSize bounds a configuration file in bytes. Handwritten files have a few KiB, the longest bootstrap list some
// ten.
const maxFileSize = 1 << 20

// Log configures level and format of the logs, which go to stderr.
type Log struct {
	// Level is debug, info, warn or error. "" means info for processes that serve others, such as a gateway, and warn
	// for commands, whose output says the rest. Default info for a node, "" for a client.
	Level string `yaml:"level"`
	// Format is text for people or json for machines. Default text.
	Format string `yaml:"format"`
}

// Validate refuses unknown levels and formats.
func (l Log) Validate() error {
	if _, err := l.level(); err != nil {
		return err
	}
	if l.Format != "text" && l.Format != "json" {
		return fmt.Errorf("log format %q: use text or json", l.Format)
	}
	return nil
}

func (l Log) level() (slog.Level, error) {
	switch strings.ToLower(l.Level) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn", "":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log level %q: use debug, info, warn or error", l.Level)
}

// Serving returns l for a process that serves others: its default level is info, because the log is all that
// people see of it.
func (l Log) Serving() Log {
	if l.Level == "" {
		l.Level = "info"
	}
	return l
}

// Logger returns a logger that writes to w. l must be valid.
func (l Log) Logger(w io.Writer) *slog.Logger {
	level, err := l.level()
	if err != nil {
		level = slog.LevelInfo
	}
	opt := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

// Override replaces Level and Format by level and format, unless these are "". If level is "", the environment's is
// used.
func (l *Log) Override(env Env, level, format string) error {
	if level == "" {
		level = env(EnvLogLevel)
	}
	if level != "" {
		l.Level = level
	}
	if format != "" {
		l.Format = format
	}
	return l.Validate()
}

// LoadGenesis reads and verifies a network's genesis.
func LoadGenesis(path string) (*ledger.Genesis, error) {
	raw, err := readFile(path, ledger.MaxGenesisSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no genesis at %s: copy the network's genesis there, or set \"genesis\" in the configuration (%w)", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read genesis: %w", err)
	}
	g, err := ledger.ParseGenesis(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

// pathKey is the value of a path in a configuration, with its key.
type pathKey struct {
	key  string
	path *string
}

// locate makes the paths of the configuration in file absolute; ~/ is the user's home.
func locate(file string, keys ...pathKey) error {
	for _, k := range keys {
		path, err := userfile.Expand(*k.path)
		if err != nil {
			return fmt.Errorf("%s: key %q: %w", file, k.key, err)
		}
		*k.path = resolve(filepath.Dir(file), path)
	}
	return nil
}

// resolve makes path absolute, as written in a file in dir. "" stays "".
func resolve(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	// Stat first: opening a pipe would block for ever.
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return raw, nil
}
