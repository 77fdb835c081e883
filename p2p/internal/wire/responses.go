package wire

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// Validate checks that r is a well-formed answer. Only the request knows how long the payload may be: see
// Request.Bounds.
func (r *Response) Validate() error {
	if r.GetCode() != 0 {
		if r.GetPayload() != 0 || r.GetResult() != nil {
			return errors.New("error response with a result")
		}
		if len(r.GetError()) > MaxErrorText {
			return fmt.Errorf("error text of %d bytes: the limit is %d", len(r.GetError()), MaxErrorText)
		}
		if n := len(r.GetSignature()); n != 0 && n != SignatureSize {
			return fmt.Errorf("signature of %d bytes: want %d", n, SignatureSize)
		}
		if r.GetLacks() >= MaxShards {
			return fmt.Errorf("lacks sliver %d: the limit is %d", r.GetLacks(), MaxShards-1)
		}
		return nil
	}
	if len(r.GetSignature()) > 0 || r.GetLacks() != 0 {
		return errors.New("signature of a refusal with code 0")
	}
	if r.GetError() != "" {
		return errors.New("error text with code 0")
	}
	if r.GetPayload() > math.MaxInt64 {
		return fmt.Errorf("payload of %d bytes", r.GetPayload())
	}
	switch res := r.GetResult().(type) {
	case *Response_Sliver:
		return res.Sliver.Validate()
	case *Response_BlobStatus:
		return res.BlobStatus.Validate(r.GetPayload())
	case *Response_NodeStatus:
		return res.NodeStatus.Validate(r.GetPayload())
	case *Response_Certificates:
		return res.Certificates.Validate(r.GetPayload())
	}
	return nil
}

// Validate checks the size against MaxSliver.
func (m *SliverInfo) Validate() error {
	if m.GetSize() > MaxSliver {
		return fmt.Errorf("sliver of %d bytes: the limit is %d", m.GetSize(), int64(MaxSliver))
	}
	return nil
}

// ShardStateSize is the size in bytes of one shard in the payload of a blob status.
const ShardStateSize = 3

// Validate checks that the payload is a certificate, within its bound, and a list of shards.
func (m *BlobStatus) Validate(payload uint64) error {
	cert := uint64(m.GetCertificate())
	if cert > MaxCertificate {
		return fmt.Errorf("certificate of %d bytes: the limit is %d", cert, MaxCertificate)
	}
	if payload < cert || payload-cert > ShardStateSize*MaxShards || (payload-cert)%ShardStateSize != 0 {
		return fmt.Errorf("blob status of %d bytes with a certificate of %d", payload, cert)
	}
	return nil
}

// ShardSize is the size in bytes of a shard in the payload of a node status, and of a pair in the response to
// PutMetadata.
const ShardSize = 2

// Validate checks the texts and that the payload is a list of shards.
func (m *NodeStatus) Validate(payload uint64) error {
	if payload > ShardSize*MaxShards || payload%ShardSize != 0 {
		return fmt.Errorf("node status with a list of shards of %d bytes", payload)
	}
	if len(m.GetIncidents()) > MaxIncidents {
		return fmt.Errorf("%d incidents: the limit is %d", len(m.GetIncidents()), MaxIncidents)
	}
	if m.GetUptimeSeconds() > math.MaxInt32 { // 68 years fit a duration in nanoseconds
		return fmt.Errorf("uptime of %d seconds", m.GetUptimeSeconds())
	}
	if m.GetRepairSecondsLeft() > math.MaxInt32 {
		return fmt.Errorf("%d seconds until nothing is owed", m.GetRepairSecondsLeft())
	}
	if m.GetPeers() > math.MaxInt32 {
		return fmt.Errorf("%d peers", m.GetPeers())
	}
	if len(m.GetAddresses()) > MaxAddresses {
		return fmt.Errorf("%d addresses: the limit is %d", len(m.GetAddresses()), MaxAddresses)
	}
	for _, s := range slices.Concat([]string{m.GetVersion(), m.GetState(), m.GetLedger(), m.GetRefuses(), m.GetReach(), m.GetSeen()}, m.GetIncidents(), m.GetAddresses()) {
		if len(s) > MaxStatusText || !utf8.ValidString(s) {
			return fmt.Errorf("text of %d bytes: want at most %d of UTF-8", len(s), MaxStatusText)
		}
	}
	return nil
}

// Validate checks every size and that they fill the payload.
func (m *CertificatePage) Validate(payload uint64) error {
	if len(m.GetSizes()) > MaxCertificates {
		return fmt.Errorf("page of %d certificates: the limit is %d", len(m.GetSizes()), MaxCertificates)
	}
	if m.GetMore() && len(m.GetSizes()) == 0 {
		return errors.New("empty page that is not the last") // a reader would loop
	}
	var sum uint64
	for _, size := range m.GetSizes() {
		if size == 0 || size > MaxCertificate {
			return fmt.Errorf("certificate of %d bytes: must be between 1 and %d", size, MaxCertificate)
		}
		sum += uint64(size)
	}
	if sum != payload {
		return fmt.Errorf("certificates of %d bytes in a payload of %d", sum, payload)
	}
	return nil
}
