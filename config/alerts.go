package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"walrus/alert"
	"walrus/internal/userfile"
)

// Alerts is the section of node.yaml about the ways by which the operator hears of trouble. The log always tells it.
type Alerts struct {
	// Webhook is an address that begins with https:// or http://, or a file (mode 0600) that holds one. Default "": none.
	Webhook string `yaml:"webhook"`
	// Command is a program and its arguments, run without a shell. Default none.
	Command []string `yaml:"command"`
	// Mail configures mails through the mail server of this machine.
	Mail AlertMail `yaml:"mail"`
}

// AlertMail is the part of node.yaml about mails.
type AlertMail struct {
	// To lists the recipients. Default none: no mails.
	To []string `yaml:"to"`
	// From is the sender. Default "": walrus@ and the name of this machine.
	From string `yaml:"from"`
	// Server is the mail server on this machine. Default "": alert.DefaultMailServer.
	Server string `yaml:"server"`
}

// isWebhook reports whether text is an address, and not the name of a file.
func isWebhook(text string) bool {
	return strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://")
}

// locate makes the paths absolute: of the webhook's file, and of a program that is not looked for in $PATH.
func (a *Alerts) locate(file string) error {
	var keys []pathKey
	if !isWebhook(a.Webhook) {
		keys = append(keys, pathKey{"alerts.webhook", &a.Webhook})
	}
	if len(a.Command) > 0 && (strings.ContainsRune(a.Command[0], filepath.Separator) || strings.HasPrefix(a.Command[0], "~/")) {
		keys = append(keys, pathKey{"alerts.command", &a.Command[0]})
	}
	return locate(file, keys...)
}

func (a *Alerts) validate() error {
	c := a.config()
	if !isWebhook(c.Webhook) {
		c.Webhook = "" // a file, which Compose reads
	}
	return keyOf(c.Validate())
}

// config returns the section with the key webhook unread.
func (a *Alerts) config() alert.Config {
	return alert.Config{
		Webhook: a.Webhook, Command: a.Command, Mail: a.Mail.To, MailFrom: a.Mail.From, MailServer: a.Mail.Server,
	}
}

// keyOf adds the key of node.yaml to an error of package alert.
func keyOf(err error) error {
	for of, key := range map[error]string{alert.ErrWebhook: "webhook", alert.ErrCommand: "command", alert.ErrMail: "mail"} {
		if errors.Is(err, of) {
			return fmt.Errorf("key \"alerts.%s\": %w", key, err)
		}
	}
	return err
}

// Compose returns the ways, with the webhook read from its file. Errors never show the address.
func (a *Alerts) Compose() (alert.Config, error) {
	c := a.config()
	if c.Webhook != "" && !isWebhook(c.Webhook) {
		var err error
		if c.Webhook, err = readWebhook(c.Webhook); err != nil {
			return alert.Config{}, fmt.Errorf("key \"alerts.webhook\": %w", err)
		}
	}
	return c, keyOf(c.Validate())
}

// readWebhook reads a file that holds the address of a webhook.
func readWebhook(path string) (string, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("not an address, and no file %s: want https://… or a file that holds the address", filepath.Base(path))
	}
	if err != nil {
		return "", err
	}
	if mode := st.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("file %s can be read by other users (mode %04o): run chmod 600 %s", path, mode, path)
	}
	raw, err := readFile(path, maxKeyFile)
	if err == nil {
		err = userfile.MarkedText(raw)
	}
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(raw))
	if !isWebhook(text) {
		return "", fmt.Errorf("file %s holds no address: want one line that begins with https:// or http://", path)
	}
	return text, nil
}
