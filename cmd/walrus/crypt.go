package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"github.com/spf13/pflag"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"walrus/internal/userfile"
)

// envPassphrase is the environment variable read by --passphrase.
const envPassphrase = "WALRUS_PASSPHRASE" //nolint:gosec // the name, not the word

// maxKeyFile bounds files of keys, recipients and passphrases, in bytes.
const maxKeyFile = 1 << 20

// passphraseFlags name the source of a passphrase.
type passphraseFlags struct {
	wanted bool
	file   string
	marked bool // the text began with an invisible mark that is not part of the passphrase
}

func (p *passphraseFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&p.wanted, "passphrase", false, "use a passphrase, from $"+envPassphrase+
		" or else asked for on the terminal")
	f.StringVar(&p.file, "passphrase-file", "", "use the passphrase in the first line of `FILE`")
}

func (p *passphraseFlags) given() bool { return p.wanted || p.file != "" }

// get reads the passphrase from the file, the environment, or the terminal. The terminal asks twice for a new one.
func (p *passphraseFlags) get(ctx context.Context, a *app, isNew bool) (string, error) {
	if p.file != "" {
		raw, err := readKeyFile(ctx, p.file)
		if err != nil {
			return "", fmt.Errorf("read passphrase: %w", err)
		}
		// An editor's invisible additions would make a passphrase that nobody can type.
		if err := userfile.CheckText(raw); err != nil {
			return "", fmt.Errorf("read passphrase: %s: %w", p.file, err)
		}
		raw, p.marked = userfile.CutBOM(raw)
		first, _, _ := bytes.Cut(raw, []byte("\n"))
		word := strings.TrimSuffix(string(first), "\r")
		if word == "" {
			return "", fmt.Errorf("read passphrase: the first line of %s is empty", p.file)
		}
		return word, nil
	}
	if word := a.env(envPassphrase); word != "" {
		// Existing blobs may have passphrases that are no text, so reading accepts them.
		if err := userfile.CheckText([]byte(word)); err != nil && isNew {
			return "", fmt.Errorf("read passphrase: $%s: %w", envPassphrase, err)
		}
		rest, marked := userfile.CutBOM([]byte(word)) // a shell may have read it from a file
		p.marked = marked
		return string(rest), nil
	}
	word, err := a.askSecret(ctx, "passphrase: ")
	if err == nil && isNew {
		var again string
		if again, err = a.askSecret(ctx, "passphrase again: "); err == nil && again != word {
			err = errors.New("the two passphrases differ")
		}
	}
	if err == nil && word == "" {
		err = errors.New("the passphrase is empty")
	}
	return word, err
}

// askSecret reads a secret from the terminal without showing it, even if standard input is something else.
func (a *terminal) askSecret(ctx context.Context, prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("ask for the passphrase: there is no terminal: set $%s or give --passphrase-file FILE",
			envPassphrase)
	}
	defer func() { _ = tty.Close() }()
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask for the passphrase: %w", err)
	}
	if _, err := io.WriteString(tty, prompt); err != nil {
		return "", fmt.Errorf("ask for the passphrase: %w", err)
	}
	type answer struct {
		word []byte
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		word, err := term.ReadPassword(fd)
		got <- answer{word, err}
	}()
	select {
	case x := <-got:
		_, _ = io.WriteString(tty, "\n")
		if x.err != nil {
			return "", fmt.Errorf("ask for the passphrase: %w", x.err)
		}
		return string(x.word), nil
	case <-ctx.Done(): // the read is abandoned; the process is about to end
		_ = term.Restore(fd, before)
		_, _ = io.WriteString(tty, "\n")
		return "", ctx.Err()
	}
}

// encryptFlags name the recipients of an encrypted blob.
type encryptFlags struct {
	encrypt    bool
	recipients []string
	passphrase passphraseFlags
}

func (e *encryptFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&e.encrypt, "encrypt", false,
		"encrypt before storing, for the given --recipient keys or else with a passphrase")
	f.StringArrayVar(&e.recipients, "recipient", nil,
		"encrypt for `KEY`: age1…, ssh-ed25519 …, ssh-rsa …, or @FILE with one key per line; may be repeated")
	e.passphrase.add(f)
}

// get returns the recipients; none means that nothing is encrypted.
func (e *encryptFlags) get(ctx context.Context, a *app) ([]age.Recipient, error) {
	switch {
	case len(e.recipients) > 0 && e.passphrase.given():
		return nil, usagef("--recipient and --passphrase cannot be combined: age encrypts with a passphrase alone")
	case len(e.recipients) > 0:
		return parseRecipients(ctx, e.recipients)
	case !e.encrypt && !e.passphrase.given():
		return nil, nil
	}
	word, err := e.passphrase.get(ctx, a, true)
	if err != nil {
		return nil, err
	}
	r, err := age.NewScryptRecipient(word)
	if err != nil {
		return nil, err
	}
	return []age.Recipient{r}, nil
}

func parseRecipients(ctx context.Context, list []string) (all []age.Recipient, err error) {
	for _, text := range list {
		path, isFile := strings.CutPrefix(text, "@")
		if !isFile {
			r, err := parseRecipient(text)
			if err != nil {
				return nil, usagef("--recipient: %w", err)
			}
			all = append(all, r)
			continue
		}
		path, err := userfile.Expand(path) // shells do not expand it after the @
		if err != nil {
			return nil, usagef("--recipient: %w", err)
		}
		raw, err := readKeyFile(ctx, path)
		if err == nil {
			err = unmarked(path, raw)
		}
		if err != nil {
			return nil, fmt.Errorf("read recipients: %w", err)
		}
		before := len(all)
		lines := bufio.NewScanner(bytes.NewReader(raw))
		lines.Buffer(nil, maxKeyFile)
		for n := 1; lines.Scan(); n++ {
			line := strings.TrimSpace(lines.Text())
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			r, err := parseRecipient(line)
			if err != nil {
				return nil, fmt.Errorf("%s, line %d: %w", path, n, err)
			}
			all = append(all, r)
		}
		if len(all) == before {
			return nil, fmt.Errorf("%s contains no recipient: want one key per line", path)
		}
	}
	return all, nil
}

// parseRecipient parses one public key. The error does not repeat a secret key.
func parseRecipient(text string) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-"):
		return nil, errors.New("this is a secret key: give its recipient, which begins with age1, and keep the secret key to yourself")
	case strings.HasPrefix(text, "ssh-"):
		r, err := agessh.ParseRecipient(text)
		if err != nil {
			return nil, fmt.Errorf("%.40q…: not an SSH public key that age can use: %w", text, err)
		}
		return r, nil
	}
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(list) != 1 {
		return nil, fmt.Errorf("%.40q: want a recipient such as age1… or ssh-ed25519 …, or @FILE", text)
	}
	return list[0], nil
}

// decryptFlags name the keys for decryption.
type decryptFlags struct {
	decrypt    bool
	identities []string
	passphrase passphraseFlags
}

func (d *decryptFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&d.decrypt, "decrypt", false, "decrypt, with the given --identity files or else with a passphrase")
	f.StringArrayVar(&d.identities, "identity", nil, "decrypt with the age or SSH secret keys in `FILE`; may be repeated")
	d.passphrase.add(f)
}

// get returns the identities; none means that nothing is decrypted.
func (d *decryptFlags) get(ctx context.Context, a *app) (all []age.Identity, err error) {
	for _, path := range d.identities {
		list, err := loadIdentities(ctx, path)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	if !d.passphrase.given() && (len(all) > 0 || !d.decrypt) {
		return all, nil
	}
	word, err := d.passphrase.get(ctx, a, false)
	if err != nil {
		return nil, err
	}
	words := []string{word}
	if d.passphrase.marked { // earlier versions took the mark as part of the passphrase
		words = append(words, "\ufeff"+word)
	}
	for _, word := range words {
		id, err := age.NewScryptIdentity(word)
		if err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, nil
}

// loadIdentities reads a file of secret keys. Errors do not quote it.
func loadIdentities(ctx context.Context, path string) ([]age.Identity, error) {
	raw, err := readKeyFile(ctx, path)
	if err == nil {
		err = unmarked(path, raw)
	}
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN")) {
		id, err := agessh.ParseIdentity(raw)
		if locked := (*ssh.PassphraseMissingError)(nil); errors.As(err, &locked) {
			return nil, fmt.Errorf("read identity: %s is protected with a passphrase, which is not supported: give a key without one", path)
		}
		if err != nil {
			return nil, fmt.Errorf("read identity: %s holds no SSH secret key that age can use", path)
		}
		return []age.Identity{id}, nil
	}
	list, err := age.ParseIdentities(bytes.NewReader(raw))
	if err != nil || len(list) == 0 {
		return nil, fmt.Errorf("read identity: %s holds no identity: want lines that begin with AGE-SECRET-KEY-, or an SSH secret key", path)
	}
	return list, nil
}

// unmarked refuses text that is not plain, or that begins with an invisible mark.
func unmarked(path string, text []byte) error {
	if err := userfile.MarkedText(text); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// readKeyFile reads a short file, which may be a pipe.
func readKeyFile(ctx context.Context, path string) ([]byte, error) {
	f, err := userfile.OpenInput(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var b bytes.Buffer
	_, err = userfile.CopyUntil(ctx, &b, io.LimitReader(f, maxKeyFile+1))
	if err == nil && b.Len() > maxKeyFile {
		err = fmt.Errorf("%s is longer than %d bytes: it holds no keys or passphrase", path, maxKeyFile)
	}
	return b.Bytes(), err
}
