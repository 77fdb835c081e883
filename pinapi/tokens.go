package pinapi

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"walrus/internal/userfile"
)

const (
	maxTokens     = 1000
	maxTokensFile = 1 << 20
	maxTokenText  = 256
)

// tokenName: what fits on a line beside a hash, and in a log.
var tokenName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Token is one line of a file of tokens.
type Token struct {
	Name string
	hash [sha256.Size]byte
}

// Tokens are access tokens, kept in a file: a line has a name, and the SHA-256 of the token in hexadecimal. A token has
// 256 random bits, so its hash needs no salt. The file is read again when it changes, so a removed token ends at once.
type Tokens struct {
	path string // constant after OpenTokens

	mu      sync.Mutex
	list    []Token // guarded by mu, as the rest
	size    int64
	changed time.Time
}

// OpenTokens returns the tokens in the file at path, none if it does not exist.
func OpenTokens(path string) (*Tokens, error) {
	t := &Tokens{path: path}
	_, err := t.current()
	return t, err
}

// Allow reports whether the Authorization headers of a request hold a token of the file, as "Bearer TOKEN".
func (t *Tokens) Allow(headers []string) (bool, error) {
	if len(headers) != 1 {
		return false, nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxTokenText {
		return false, nil
	}
	list, err := t.current()
	if err != nil {
		return false, err
	}
	hash, ok := sha256.Sum256([]byte(token)), 0
	for i := range list { // all of them: the time tells nothing
		ok |= subtle.ConstantTimeCompare(hash[:], list[i].hash[:])
	}
	return ok == 1, nil
}

// Names lists the names of the tokens.
func (t *Tokens) Names() ([]string, error) {
	list, err := t.current()
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	return names, err
}

// Create makes a token with a name that is not in use, and returns its text, which is kept nowhere.
func (t *Tokens) Create(name string) (string, error) {
	if !tokenName.MatchString(name) {
		return "", fmt.Errorf("name a token: %q: use 1 to 64 letters, digits, dots, dashes and underscores", name)
	}
	list, err := t.current()
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(list, func(old Token) bool { return old.Name == name }) {
		return "", fmt.Errorf("name a token: %q is in use: choose another name, or remove that token", name)
	}
	if len(list) >= maxTokens {
		return "", fmt.Errorf("add a token: there are %d already, which is the limit: remove one", len(list))
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	text := base64.RawURLEncoding.EncodeToString(secret[:])
	return text, t.write(append(slices.Clone(list), Token{name, sha256.Sum256([]byte(text))}))
}

// ErrNoToken: no token has the name.
var ErrNoToken = errors.New("there is no such token")

// Remove removes the token with a name. If there is none, the error wraps ErrNoToken.
func (t *Tokens) Remove(name string) error {
	list, err := t.current()
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(list), func(old Token) bool { return old.Name == name })
	if len(rest) == len(list) {
		return fmt.Errorf("remove token %q: %w: walrus pin token ls lists them", name, ErrNoToken)
	}
	return t.write(rest)
}

func (t *Tokens) write(list []Token) error {
	var b bytes.Buffer
	for i := range list {
		fmt.Fprintf(&b, "%s %s\n", list[i].Name, hex.EncodeToString(list[i].hash[:]))
	}
	return userfile.Replace(t.path, b.Bytes())
}

// current returns the tokens of the file as it is now.
func (t *Tokens) current() ([]Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	st, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		t.list, t.size, t.changed = nil, 0, time.Time{}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	// A file written twice within the clock's resolution of the file system may keep its time and size.
	if st.Size() == t.size && st.ModTime().Equal(t.changed) && time.Since(t.changed) > settled {
		return t.list, nil
	}
	if st.Size() > maxTokensFile || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("read tokens: %s is not a file of at most %d bytes", t.path, maxTokensFile)
	}
	raw, err := os.ReadFile(t.path)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	list, err := parseTokens(raw)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %s: %w", t.path, err)
	}
	t.list, t.size, t.changed = list, st.Size(), st.ModTime()
	return list, nil
}

// settled: a file older than that has a time of its own.
const settled = 2 * time.Second

func parseTokens(raw []byte) (list []Token, err error) {
	n := 0
	for line := range strings.Lines(string(raw)) {
		n++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, text, _ := strings.Cut(line, " ")
		t := Token{Name: name}
		hash, err := hex.DecodeString(strings.TrimSpace(text))
		if err != nil || len(hash) != len(t.hash) || !tokenName.MatchString(name) {
			return nil, fmt.Errorf("line %d: want a name and a SHA-256 in hexadecimal: make tokens with walrus pin token add", n)
		}
		copy(t.hash[:], hash)
		if list = append(list, t); len(list) > maxTokens {
			return nil, fmt.Errorf("line %d: more than %d tokens", n, maxTokens)
		}
	}
	return list, nil
}
