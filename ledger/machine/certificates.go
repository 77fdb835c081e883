package machine

import (
	"sync"

	"golang.org/x/crypto/blake2b"

	"walrus/certs"
)

// CertificateKey names a certificate that was verified against the committee of an epoch.
type CertificateKey struct {
	Epoch uint32
	Hash  [32]byte // BLAKE2b-256 of the binary form, of refutations after a domain
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
	kind *certificateKind
	raw  []byte
	of   *run
}

// certificateKind says what members signed.
type certificateKind struct {
	domain string // of the hash that names the certificate
	judge  func(committee *certs.Committee, raw []byte) error
}

var (
	confirmations = &certificateKind{"", judgeCertificate}
	// refutations have a domain that no certificate begins with, so that neither is taken for the other.
	refutations = &certificateKind{"refutations", judgeRefutation}
)

func judgeCertificate(committee *certs.Committee, raw []byte) error {
	cert, err := certs.UnmarshalCertificate(raw)
	if err != nil {
		return err
	}
	return committee.Verify(cert)
}

func judgeRefutation(committee *certs.Committee, raw []byte) error {
	cert, err := certs.UnmarshalRefutationCertificate(raw)
	if err != nil {
		return err
	}
	return committee.VerifyRefutations(cert)
}

type judgement struct {
	once sync.Once
	err  error
}

func newCertificates(committee *certs.Committee, cache Certificates) *certificates {
	return &certificates{committee: committee, cache: cache, judged: make(map[[32]byte]*judgement)}
}

// expect makes prefetch verify a certificate of x.
func (c *certificates) expect(kind *certificateKind, raw []byte, x *run) {
	c.expected = append(c.expected, expectation{kind, raw, x})
}

// prefetch verifies the expected certificates in parallel; each takes about 0.8 ms. After a transaction's first bad
// certificate it skips the others, because the transaction fails anyway. No result depends on this: a certificate that
// was skipped is verified when its operation runs.
func (c *certificates) prefetch(workers int) {
	parallel(len(c.expected), 1, workers, func(i int) {
		if e := c.expected[i]; !e.of.hopeless.Load() && c.verify(e.kind, e.raw) != nil {
			e.of.hopeless.Store(true)
		}
	})
	c.expected = nil
}

// verify reads a certificate and checks it against the committee.
func (c *certificates) verify(kind *certificateKind, raw []byte) error {
	hash := blake2b.Sum256(append([]byte(kind.domain), raw...))
	c.mu.Lock()
	j := c.judged[hash]
	if j == nil {
		j = new(judgement)
		c.judged[hash] = j
	}
	c.mu.Unlock()
	j.once.Do(func() { j.err = c.judge(kind, raw, CertificateKey{c.committee.Epoch(), hash}) })
	return j.err
}

func (c *certificates) judge(kind *certificateKind, raw []byte, key CertificateKey) error {
	if c.cache != nil && c.cache.Has(key) {
		return nil
	}
	if err := kind.judge(c.committee, raw); err != nil {
		return err
	}
	if c.cache != nil {
		c.cache.Add(key)
	}
	return nil
}
