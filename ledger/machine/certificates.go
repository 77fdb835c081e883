package machine

import (
	"sync"

	"golang.org/x/crypto/blake2b"

	"walrus/certs"
)

// CertificateKey names a certificate that was verified against the committee of an epoch.
type CertificateKey struct {
	Epoch uint32
	Hash  [32]byte // BLAKE2b-256 of the binary form
}

// Certificates remembers valid certificates, so that each is verified once. It is safe for concurrent use and may
// forget.
type Certificates interface {
	Has(CertificateKey) bool
	Add(CertificateKey)
}

// certificates verifies the certificates of one block, each at most once.
type certificates struct {
	committee *certs.Committee // of the block's epoch
	cache     Certificates     // may be nil
	mu        sync.Mutex
	judged    map[[32]byte]*judgement // guarded by mu
	expected  []expectation           // to verify beforehand; owned by plan
}

// expectation pairs a certificate with its transaction.
type expectation struct {
	raw []byte
	of  *run
}

type judgement struct {
	once sync.Once
	err  error
}

func newCertificates(committee *certs.Committee, cache Certificates) *certificates {
	return &certificates{committee: committee, cache: cache, judged: make(map[[32]byte]*judgement)}
}

// expect makes prefetch verify a certificate of x.
func (c *certificates) expect(raw []byte, x *run) {
	c.expected = append(c.expected, expectation{raw, x})
}

// prefetch verifies the expected certificates in parallel; each takes about 0.8 ms. After a transaction's first bad
// certificate it skips the others, because the transaction fails anyway. No result depends on this: a certificate that
// was skipped is verified when its operation runs.
func (c *certificates) prefetch(workers int) {
	parallel(len(c.expected), 1, workers, func(i int) {
		if e := c.expected[i]; !e.of.hopeless.Load() && c.verify(e.raw) != nil {
			e.of.hopeless.Store(true)
		}
	})
	c.expected = nil
}

// verify reads a certificate and checks it against the committee.
func (c *certificates) verify(raw []byte) error {
	hash := blake2b.Sum256(raw)
	c.mu.Lock()
	j := c.judged[hash]
	if j == nil {
		j = new(judgement)
		c.judged[hash] = j
	}
	c.mu.Unlock()
	j.once.Do(func() { j.err = c.judge(raw, CertificateKey{c.committee.Epoch(), hash}) })
	return j.err
}

func (c *certificates) judge(raw []byte, key CertificateKey) error {
	if c.cache != nil && c.cache.Has(key) {
		return nil
	}
	cert, err := certs.UnmarshalCertificate(raw)
	if err != nil {
		return err
	}
	if err := c.committee.Verify(cert); err != nil {
		return err
	}
	if c.cache != nil {
		c.cache.Add(key)
	}
	return nil
}
