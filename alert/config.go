package alert

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strings"
)

// Config says by which ways alerts reach the operator. The log of the node always gets them.
type Config struct {
	// Webhook is the address to which each alert is posted as JSON. It may hold a secret: no error and no log line shows
	// it. Default "": none.
	Webhook string
	// Command is a program with its arguments, run for each alert without a shell. Default none.
	Command []string
	// Mail lists the addresses that get a mail. Default none.
	Mail []string
	// MailFrom is the sender. Default "": walrus@ and the name of the machine.
	MailFrom string
	// MailServer is the local mail server, which must be on this machine: it is asked without a password and without
	// encryption. Default DefaultMailServer.
	MailServer string
}

// DefaultMailServer: local mail servers listen there.
const DefaultMailServer = "localhost:25"

const (
	// maxArgs bounds the words of a command, and maxRecipients the addresses.
	maxArgs, maxRecipients = 64, 16
	// maxURL bounds the address of a webhook, in bytes.
	maxURL = 2048
)

// Errors of a configuration, for those who must name the key that is wrong.
var (
	ErrWebhook = errors.New("webhook")
	ErrCommand = errors.New("command")
	ErrMail    = errors.New("mail")
)

// Validate reports the first setting that is wrong. It does not show the address of the webhook.
func (c *Config) Validate() error {
	if c.Webhook != "" {
		if _, err := parseWebhook(c.Webhook); err != nil {
			return err
		}
	}
	if len(c.Command) > maxArgs || len(c.Command) > 0 && c.Command[0] == "" {
		return fmt.Errorf("%w: %d words: want a program and at most %d arguments", ErrCommand, len(c.Command), maxArgs-1)
	}
	for _, arg := range c.Command {
		if strings.ContainsRune(arg, 0) {
			return fmt.Errorf("%w: an argument contains a NUL byte: remove it", ErrCommand)
		}
	}
	if len(c.Mail) > maxRecipients {
		return fmt.Errorf("%w: %d addresses: at most %d; use a list address", ErrMail, len(c.Mail), maxRecipients)
	}
	for _, a := range c.Mail {
		if _, err := mailAddress(a); err != nil {
			return err
		}
	}
	if c.MailFrom != "" {
		if _, err := mailAddress(c.MailFrom); err != nil {
			return err
		}
	}
	if c.MailServer == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.MailServer)
	if ip := net.ParseIP(host); err != nil || port == "" || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%w: server %q is not on this machine: want an address such as %s", ErrMail, c.MailServer, DefaultMailServer)
	}
	return nil
}

// parseWebhook parses the address of a webhook. Errors do not show it.
func parseWebhook(text string) (*url.URL, error) {
	if len(text) > maxURL {
		return nil, fmt.Errorf("%w: the address has %d bytes: at most %d", ErrWebhook, len(text), maxURL)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%w: not an address: want one that begins with https:// or http:// and a host", ErrWebhook)
	}
	return u, nil
}

// mailAddress returns the bare address of a mailbox. What it accepts can stand in a header and in SMTP as it is.
func mailAddress(text string) (string, error) {
	a, err := mail.ParseAddress(text)
	if err != nil || len(a.Address) > 254 || strings.IndexFunc(a.Address, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' }) >= 0 {
		return "", fmt.Errorf("%w: %q is not a mail address: want one such as ops@example.org", ErrMail, text)
	}
	return a.Address, nil
}
