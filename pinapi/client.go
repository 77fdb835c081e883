package pinapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"walrus/internal/socket"
	"walrus/pin"
	"walrus/quilt"
	"walrus/shards"
)

// ErrNotRunning: no pinner runs with that home.
var ErrNotRunning = errors.New("no pin process is running")

// Client asks a pinner on this machine. It implements Pins and Copies.
type Client struct {
	http *http.Client // constant, as the next
	ctx  func() (context.Context, context.CancelFunc)
}

var (
	_ Pins   = (*Client)(nil)
	_ Copies = (*Client)(nil)
)

// quickTime bounds the questions that a pinner answers from its records.
const quickTime = 30 * time.Second

// Dial finds the pinner with a home. ErrNotRunning: there is none.
func Dial(ctx context.Context, home string) (*Client, error) {
	c, err := socket.Dial(ctx, SocketPath(home))
	if errors.Is(err, socket.ErrNotRunning) {
		return nil, fmt.Errorf("%w with home %s", ErrNotRunning, home)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the pin process of %s: %w", home, err)
	}
	return &Client{
		http: c,
		ctx: func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.WithoutCancel(ctx), quickTime)
		},
	}, nil
}

// Close releases the connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// maxAnswer bounds an answer, in bytes: a page of the largest pins.
const maxAnswer = 64 << 20

// do sends a request and decodes the answer into out, unless it is nil.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://pin/local/"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the pin process: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("ask the pin process: %w", err)
	}
	if len(raw) > maxAnswer {
		return fmt.Errorf("ask the pin process: an answer of more than %d bytes", maxAnswer)
	}
	if resp.StatusCode >= 300 {
		var f failureForm
		if err := json.Unmarshal(raw, &f); err != nil || f.Error.Reason == "" {
			return fmt.Errorf("ask the pin process: status %d", resp.StatusCode)
		}
		return failed(resp.StatusCode, f.Error.Reason, f.Error.Details)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("ask the pin process: %w", err)
	}
	return nil
}

// Add implements Pins.
func (c *Client) Add(ctx context.Context, r pin.Request) (pin.Request, error) {
	var p Pin
	err := c.do(ctx, http.MethodPost, "pins", NewPin(&r), &p)
	return p.request(), err
}

// Replace implements Pins.
func (c *Client) Replace(ctx context.Context, id string, r pin.Request) (pin.Request, error) {
	var p Pin
	err := c.do(ctx, http.MethodPost, "pins/"+id, NewPin(&r), &p)
	return p.request(), err
}

// Remove implements Pins.
func (c *Client) Remove(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "pins/"+id, nil, nil)
}

// Request implements Pins.
func (c *Client) Request(id string) (pin.Request, error) {
	ctx, cancel := c.ctx()
	defer cancel()
	var p Pin
	err := c.do(ctx, http.MethodGet, "pins/"+id, nil, &p)
	return p.request(), err
}

// List implements Pins.
func (c *Client) List(f pin.Filter) ([]pin.Request, int, error) {
	ctx, cancel := c.ctx()
	defer cancel()
	var l List
	if err := c.do(ctx, http.MethodPost, "list", f, &l); err != nil {
		return nil, 0, err
	}
	return l.requests(), l.Total, nil
}

func (l *List) requests() []pin.Request {
	list := make([]pin.Request, len(l.Pins))
	for i := range l.Pins {
		list[i] = l.Pins[i].request()
	}
	return list
}

// Verify implements Copies.
func (c *Client) Verify(ctx context.Context, id shards.BlobID) error {
	return c.do(ctx, http.MethodPost, "verify/"+id.String(), nil, nil)
}

// Export implements Copies.
func (c *Client) Export(ctx context.Context, id shards.BlobID, dir string) error {
	return c.do(ctx, http.MethodPost, "export/"+id.String(), folderForm{dir}, nil)
}

// Import implements Copies.
func (c *Client) Import(ctx context.Context, dir string) ([]pin.Request, error) {
	var l List
	err := c.do(ctx, http.MethodPost, "import", folderForm{dir}, &l)
	return l.requests(), err
}

// Files implements Copies.
func (c *Client) Files(ctx context.Context, id shards.BlobID) ([]quilt.Patch, error) {
	var list []File
	if err := c.do(ctx, http.MethodGet, "files/"+id.String(), nil, &list); err != nil {
		return nil, err
	}
	files := make([]quilt.Patch, len(list))
	for i, f := range list {
		files[i] = f.ID.Patch()
		files[i].Identifier, files[i].Tags = f.Identifier, f.Tags
	}
	return files, nil
}

// Status implements Copies. It is zero if the pinner does not answer: ask About for the error.
func (c *Client) Status() pin.Stats {
	ctx, cancel := c.ctx()
	defer cancel()
	s, _ := c.About(ctx) // the caller asks About for errors
	return s.counts()
}

// About returns the status with a description of the process.
func (c *Client) About(ctx context.Context) (s Status, err error) {
	err = c.do(ctx, http.MethodGet, "status", nil, &s)
	return s, err
}
