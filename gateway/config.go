package gateway

import (
	"errors"
	"fmt"
	"time"

	"walrus/shards"
)

// Config of a gateway.
type Config struct {
	// Bind is the address to listen on. Default 127.0.0.1:31415, the original's port, for this machine alone.
	Bind string
	// Publisher serves the routes that store, Aggregator those that read. At least one is needed. Default both.
	Publisher, Aggregator bool
	// Version of the program, told in the OpenAPI document.
	Version string

	// Store bounds uploads.
	Store StoreConfig
	// Read bounds and shapes downloads.
	Read ReadConfig
	// Time bounds how long things take.
	Time TimeConfig
}

// StoreConfig of a publisher.
type StoreConfig struct {
	// MaxBody is the greatest blob that is taken, in bytes. Default 10 MiB, as in the original.
	MaxBody int64
	// MaxQuiltBody is the greatest form of a quilt, in bytes. Default 100 MiB, as in the original.
	MaxQuiltBody int64
	// Epochs for which a blob is stored when the client does not say. Default 1.
	Epochs uint32
	// OwnerKey is a secret of the publisher's, from which the tokens of owners are made: who stores through it can extend
	// and delete what is theirs. Empty, the default, is no such routes.
	OwnerKey []byte
	// UploadDir keeps resumable uploads while they are under way. Empty, the default, is a temporary directory that ends with
	// the gateway: then no upload outlives it.
	UploadDir string
	// MaxUploads bounds those that are unfinished, each of up to MaxBody bytes on disk. Default 100.
	MaxUploads int
	// UploadExpiry is how long one may stand still before it is deleted. Default 24 h.
	UploadExpiry time.Duration
	// TempDir is where bodies wait while they come in: storing reads them twice. Empty means the system's.
	TempDir string
}

// ReadConfig of an aggregator.
type ReadConfig struct {
	// MaxBlob is the greatest blob that is served, in bytes; others are refused with 403. 0, the default, is no limit.
	MaxBlob uint64
	// Headers are the attributes of a record that become headers when a blob is read by its object. Default those of the
	// original, which describe content and cannot harm.
	Headers []string
	// QuiltTags makes headers of the tags of a file in a quilt, too, if they are on that list. Default off, as in the original.
	QuiltTags bool
	// Blocklist is a file with the IDs of blobs that are not served, one on a line; it is read again when it changes.
	// Default none.
	Blocklist string
	// BareETag sends entity tags without quotes, and the header's name in lower case, as the original does: for clients that
	// compare them as text. Default off:
	// RFC 9110 wants quotes, and caches rely on them. Either form is understood in requests.
	BareETag bool
}

// TimeConfig bounds how long requests take.
type TimeConfig struct {
	// Header is how long a client may take for the header of a request. Default 10 s.
	Header time.Duration
	// Idle is how long a connection may wait for its next request. Default 2 min.
	Idle time.Duration
	// Stall is how long a body, up or down, may make no progress: a slow client is served, one that stands still holds
	// nothing. Default 30 s.
	Stall time.Duration
	// Store bounds storing a blob once its body is here; it goes on when the client leaves. Default 10 min.
	Store time.Duration
	// Open bounds the time to the first byte of a read. Default 1 min.
	Open time.Duration
	// Drain is how long requests may go on when the gateway ends. Default 10 s.
	Drain time.Duration
}

// Default is a gateway for this machine with the original's limits.
func Default() Config {
	return Config{
		Bind: "127.0.0.1:31415", Publisher: true, Aggregator: true, Version: "unknown",
		Store: StoreConfig{MaxBody: 10 << 20, MaxQuiltBody: 100 << 20, Epochs: 1, MaxUploads: 100, UploadExpiry: 24 * time.Hour},
		Read: ReadConfig{Headers: []string{
			"content-type", "authorization", "content-disposition", "content-encoding", "content-language", "content-location", "link",
		}},
		Time: TimeConfig{
			Header: 10 * time.Second, Idle: 2 * time.Minute, Stall: 30 * time.Second, Store: 10 * time.Minute, Open: time.Minute,
			Drain: 10 * time.Second,
		},
	}
}

// Validate says what is wrong.
func (c *Config) Validate() error {
	switch t := &c.Time; {
	case !c.Publisher && !c.Aggregator:
		return errors.New("gateway: neither publisher nor aggregator: nothing to serve")
	case c.Store.MaxBody <= 0 || c.Store.MaxQuiltBody <= 0:
		return fmt.Errorf("gateway: body limits %d and %d: must be positive", c.Store.MaxBody, c.Store.MaxQuiltBody)
	case c.Store.MaxBody > shards.MaxLength:
		return fmt.Errorf("gateway: body limit of %d bytes: the greatest blob has %d", c.Store.MaxBody, int64(shards.MaxLength))
	case c.Store.MaxUploads < 0 || c.Store.UploadExpiry <= 0:
		return fmt.Errorf("gateway: %d resumable uploads for %v: must be positive", c.Store.MaxUploads, c.Store.UploadExpiry)
	case c.Store.Epochs == 0:
		return errors.New("gateway: blobs must be stored for at least 1 epoch")
	case min(t.Header, t.Idle, t.Stall, t.Store, t.Open, t.Drain) <= 0:
		return fmt.Errorf("gateway: times %+v: must be positive", *t)
	}
	for _, h := range c.Read.Headers {
		if !validHeaderName(h) {
			return fmt.Errorf("gateway: %q cannot be the name of a header", h)
		}
	}
	return nil
}
