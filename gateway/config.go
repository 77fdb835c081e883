package gateway

import (
	"errors"
	"fmt"
	"time"

	"walrus/shards"
)

// Config of a gateway.
type Config struct {
	// Bind is the address to listen on. Default 127.0.0.1:31415: the original's port, on this machine only.
	Bind string
	// Publisher enables the routes that store; Aggregator enables the routes that read. At least one is required.
	// Default both.
	Publisher, Aggregator bool
	// Version of the program, shown in the OpenAPI document.
	Version string
	// Pins reads the pins of a pinner on this machine, for the pages. Default nil: there is no page of pins.
	Pins Pins
	// Monitor reads what monitors saw, for the pages and /v1/monitor. Default nil: both say that nobody monitors here.
	Monitor Monitor

	// Store bounds uploads.
	Store StoreConfig
	// Read bounds and shapes downloads.
	Read ReadConfig
	// Time bounds the duration of requests.
	Time TimeConfig
}

// StoreConfig configures a publisher.
type StoreConfig struct {
	// MaxBody bounds a blob to be stored, in bytes. Default 10 MiB, as in the original.
	MaxBody int64
	// MaxQuiltBody bounds the form of a quilt, in bytes. Default 100 MiB, as in the original.
	MaxQuiltBody int64
	// Epochs to store a blob for when the client does not say. Default 1.
	Epochs uint32
	// OwnerKey is the publisher's secret from which owner tokens are made. With a token, clients can extend and delete
	// blobs that they stored. Empty, the default, turns these routes off.
	OwnerKey []byte
	// UploadDir holds unfinished resumable uploads. Empty, the default, means a temporary directory that is removed
	// when the gateway ends, with all uploads in it.
	UploadDir string
	// MaxUploads bounds the unfinished uploads, each of up to MaxBody bytes on disk. Default 100.
	MaxUploads int
	// UploadExpiry: an upload without progress for this long is deleted. Default 24 h.
	UploadExpiry time.Duration
	// TempDir holds bodies while they come in: storing reads them twice. Empty means the system's.
	TempDir string
}

// ReadConfig configures an aggregator.
type ReadConfig struct {
	// MaxBlob bounds the blobs that are served, in bytes; larger ones get a 403. 0, the default, means no limit.
	MaxBlob uint64
	// Headers lists the record attributes that become response headers when a blob is read by object ID. Default: the
	// original's, which describe content and are harmless.
	Headers []string
	// QuiltTags turns tags of quilt files into headers too, if they are in Headers. Default off, as in the original.
	QuiltTags bool
	// Blocklist is a file with the IDs of blobs that are not served, one per line. It is read again when it changes.
	// Default none.
	Blocklist string
	// BareETag sends entity tags without quotes, and the header's name in lower case, as the original does, for clients
	// that compare them as text. Default off: RFC 9110 requires quotes, and caches rely on them. Requests may use
	// either form.
	BareETag bool
}

// TimeConfig bounds the duration of requests.
type TimeConfig struct {
	// Header bounds the time for a request's header. Default 10 s.
	Header time.Duration
	// Idle bounds how long a connection may wait for its next request. Default 2 min.
	Idle time.Duration
	// Stall bounds the time without progress of a body, up or down: slow clients are served, stalled ones are cut off.
	// Default 30 s.
	Stall time.Duration
	// Store bounds the time to store a blob once its body has arrived. Storing continues if the client leaves. Default
	// 10 min.
	Store time.Duration
	// Open bounds the time to the first byte of a read. Default 1 min.
	Open time.Duration
	// Drain bounds how long requests may continue when the gateway ends. Default 10 s.
	Drain time.Duration
}

// Default returns the configuration of a gateway for this machine with the original's limits.
func Default() Config {
	return Config{
		Bind: "127.0.0.1:31415", Publisher: true, Aggregator: true, Version: "unknown",
		Store: StoreConfig{MaxBody: 10 << 20, MaxQuiltBody: 100 << 20, Epochs: 1, MaxUploads: 100,
			UploadExpiry: 24 * time.Hour},
		Read: ReadConfig{Headers: []string{
			"content-type", "authorization", "content-disposition", "content-encoding", "content-language",
			"content-location", "link",
		}},
		Time: TimeConfig{
			Header: 10 * time.Second, Idle: 2 * time.Minute, Stall: 30 * time.Second, Store: 10 * time.Minute, Open: time.Minute,
			Drain: 10 * time.Second,
		},
	}
}

// Validate returns an error for the first wrong value.
func (c *Config) Validate() error {
	switch t := &c.Time; {
	case !c.Publisher && !c.Aggregator:
		return errors.New("gateway: neither publisher nor aggregator is enabled: enable one")
	case c.Store.MaxBody <= 0 || c.Store.MaxQuiltBody <= 0:
		return fmt.Errorf("gateway: body limits of %d and %d bytes: both must be positive", c.Store.MaxBody,
			c.Store.MaxQuiltBody)
	case c.Store.MaxBody > shards.MaxLength:
		return fmt.Errorf("gateway: body limit of %d bytes: a blob has at most %d", c.Store.MaxBody, int64(shards.MaxLength))
	case c.Store.MaxUploads < 0 || c.Store.UploadExpiry <= 0:
		return fmt.Errorf("gateway: %d resumable uploads, kept for %v: both must be positive", c.Store.MaxUploads,
			c.Store.UploadExpiry)
	case c.Store.Epochs == 0:
		return errors.New("gateway: blobs must be stored for at least 1 epoch")
	case min(t.Header, t.Idle, t.Stall, t.Store, t.Open, t.Drain) <= 0:
		return fmt.Errorf("gateway: times %+v: all must be positive", *t)
	}
	for _, h := range c.Read.Headers {
		if !validHeaderName(h) {
			return fmt.Errorf("gateway: header %q: not a valid name", h)
		}
	}
	return nil
}
