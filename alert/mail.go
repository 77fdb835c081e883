package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"strings"
	"time"
)

// mailTimeout bounds the whole exchange with the mail server.
const mailTimeout = 30 * time.Second

// mailer hands alerts to the mail server of this machine by SMTP. It runs no sendmail: the unit for systemd forbids
// programs to gain rights, and sendmail needs them to queue a mail.
type mailer struct {
	server, from string
	to           []string
}

func newMail(c Config) *mailer {
	m := &mailer{server: c.MailServer, from: c.MailFrom}
	if m.server == "" {
		m.server = DefaultMailServer
	}
	if m.from == "" {
		m.from = "walrus@" + machineName()
	}
	m.from, _ = mailAddress(m.from) // Validate and machineName accept nothing else
	for _, a := range c.Mail {
		if address, err := mailAddress(a); err == nil {
			m.to = append(m.to, address)
		}
	}
	return m
}

// machineName returns the name of this machine, or localhost if it has none that can stand in an address.
func machineName() string {
	name, err := os.Hostname()
	if err == nil {
		_, err = mailAddress("walrus@" + name)
	}
	if err != nil {
		return "localhost"
	}
	return name
}

func (*mailer) name() string { return "mail" }

func (m *mailer) send(ctx context.Context, a Alert) error {
	text, err := m.compose(a)
	if err != nil {
		return final(err)
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.server)
	if err != nil {
		return errors.New("no mail server answers on this machine: is one installed, and is mail.server right?")
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := m.deliver(conn, text); err != nil {
		var reply *textproto.Error
		if errors.As(err, &reply) {
			err = fmt.Errorf("the mail server answered %d", reply.Code) // its text may show addresses
			if reply.Code >= 500 {
				err = final(err)
			}
			return err
		}
		return errors.New("the mail server broke off")
	}
	return nil
}

// deliver hands one mail over, without password and encryption: the server is on this machine.
func (m *mailer) deliver(conn net.Conn, text []byte) error {
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return err
	}
	if err := c.Hello("localhost"); err != nil {
		return err
	}
	if err := c.Mail(m.from); err != nil {
		return err
	}
	for _, to := range m.to {
		if err := c.Rcpt(to); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the mail is theirs
	return nil
}

// compose writes the mail. Headers hold only mail addresses that were checked, numbers, and a subject in which every
// byte beyond printable ASCII is encoded; everything else is in the body.
func (m *mailer) compose(a Alert) ([]byte, error) {
	fields, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return nil, err
	}
	name := clean(a.Name)
	if name == "" {
		name = a.Node.ID
	}
	subject := clean(fmt.Sprintf("[walrus] %s: %s (%s)", name, a.Cause, a.State))
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", m.from}, {"To", strings.Join(m.to, ",\r\n ")}, {"Subject", encodeSubject(subject)},
		{"Date", a.Time.Format(time.RFC1123Z)}, {"Message-ID", fmt.Sprintf("<%s.%d.%s@walrus>", a.ID, a.Time.Unix(), a.State)},
		{"Auto-Submitted", "auto-generated"}, {"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	body := strings.ReplaceAll(a.Text+"\n\n"+string(fields)+"\n", "\n", "\r\n")
	if _, err := q.Write([]byte(body)); err != nil {
		return nil, err
	}
	return b.Bytes(), q.Close()
}

// encodeSubject returns text as words of RFC 2047 if it is more than printable ASCII. A name that looks like such a
// word is broken up: a reader would decode it to whatever it hides.
func encodeSubject(text string) string {
	text = mime.QEncoding.Encode("utf-8", strings.ReplaceAll(text, "=?", "= ?"))
	return strings.ReplaceAll(text, "?= =?", "?=\r\n =?")
}
