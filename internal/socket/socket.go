// Package socket connects commands with the process of a home, by a Unix socket that only its user may open.
package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
)

// maxPath is the longest path of a Unix socket on Linux, in bytes.
const maxPath = 107

// ErrNotRunning: nobody listens at the socket.
var ErrNotRunning = errors.New("no process answers there")

// Listen opens the socket at path, for the user alone. The caller holds a lock on its folder, so a socket that is there
// already was left by a process that was killed.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("listen at %s: the path has %d bytes, a socket's may have %d: choose a home with a shorter path", path, len(path), maxPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen at %s: %w", path, err), l.Close())
	}
	return l, nil
}

// Dial returns a client for HTTP at the socket at path. ErrNotRunning: nobody listens there.
func Dial(ctx context.Context, path string) (*http.Client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	c, err := dial(ctx, "", "")
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w: %s", ErrNotRunning, path)
	case err != nil:
		return nil, fmt.Errorf("dial %s: %w", path, err)
	}
	if err := c.Close(); err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}, nil
}
