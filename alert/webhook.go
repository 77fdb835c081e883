package alert

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	// webhookTimeout bounds one attempt.
	webhookTimeout = 10 * time.Second
	// maxAnswer bounds the bytes read of an answer, so that its connection can be closed in order. They are not used.
	maxAnswer = 64 << 10
)

// webhook posts alerts. It follows no redirect: an answer must not send the alert, or the secret in the address, to
// somebody else. The operator names the address, so one in a private network is allowed.
type webhook struct {
	address string
	client  *http.Client
}

func newWebhook(address string) *webhook {
	return &webhook{address: address, client: &http.Client{
		Timeout: webhookTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: webhookTimeout,
			ResponseHeaderTimeout: webhookTimeout, MaxResponseHeaderBytes: maxAnswer, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (*webhook) name() string { return "webhook" }

// send posts one alert. An answer of 2xx is success. Server faults, 429 and missing answers are tried again.
func (w *webhook) send(ctx context.Context, a Alert) error {
	body, err := json.Marshal(a)
	if err != nil {
		return final(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.address, bytes.NewReader(body))
	if err != nil {
		return final(errors.New("its address cannot be used"))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "walrus")
	resp, err := w.client.Do(req)
	if err != nil {
		return hideAddress(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // only to end the exchange in order
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code/100 == 3:
		return final(fmt.Errorf("it answered with a redirect (%d), which is not followed: configure the final address", code))
	case code/100 == 5 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return fmt.Errorf("it answered %d %s", code, http.StatusText(code))
	default:
		return final(fmt.Errorf("it answered %d %s: is the address in node.yaml right?", code, http.StatusText(code)))
	}
}

// hideAddress names the kind of a failed request. The errors of net/http show the address, and those below them the
// name of the host; either may be the secret.
func hideAddress(err error) error {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &dns):
		return errors.New("the name of its host was not found")
	case errors.As(err, &cert):
		return errors.New("its certificate is not trusted")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("its host refuses connections")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return errors.New("there is no route to its host")
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("it did not answer within %v", webhookTimeout)
	}
	return errors.New("the connection failed")
}
