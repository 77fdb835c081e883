package gateway

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"walrus/client"
	"walrus/ledger"
)

// ownerHeader carries the token of a record's owner: in the response to an upload, and in requests where Authorization is
// taken by something else.
const ownerHeader = "Walrus-Owner-Token"

// owners makes and checks the tokens by which those who uploaded through a publisher, which owns all records, say which
// are theirs. A token is a keyed hash of the record's ID, so that nothing has to be remembered. The operator's token is
// good for every record.
type owners struct{ key []byte }

// newOwners derives the key from a secret of the publisher's.
func newOwners(secret []byte) (*owners, error) {
	if len(secret) == 0 {
		return nil, nil
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "walrus gateway owner tokens v1", sha256.Size)
	if err != nil {
		return nil, err
	}
	return &owners{key}, nil
}

func (o *owners) sum(kind string, object []byte) string {
	mac := hmac.New(sha256.New, o.key)
	mac.Write([]byte(kind))
	mac.Write(object)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// token of a record.
func (o *owners) token(object ledger.ObjectID) string { return o.sum("object ", object[:]) }

// operator is the operator's token.
func (o *owners) operator() string { return o.sum("operator", nil) }

// owns says whether token is good for a record.
func (o *owners) owns(token string, object ledger.ObjectID) bool {
	return hmac.Equal([]byte(token), []byte(o.token(object))) || hmac.Equal([]byte(token), []byte(o.operator()))
}

// OperatorToken is the token that is good for every record of the publisher whose StoreConfig.OwnerKey this is.
func OperatorToken(ownerKey []byte) (string, error) {
	o, err := newOwners(ownerKey)
	if err != nil || o == nil {
		return "", err
	}
	return o.operator(), nil
}

// presented is the token of a request.
func presented(r *http.Request) (string, error) {
	if t := r.Header.Get(ownerHeader); t != "" {
		return t, nil
	}
	scheme, t, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || t == "" {
		return "", &failure{
			code: http.StatusUnauthorized, status: "UNAUTHENTICATED", reason: "MISSING_OWNER_TOKEN", domain: domainDaemon, challenge: "Bearer",
			message: "this is for the owner: send the token that came with the upload in " + ownerHeader + " as Authorization: Bearer",
		}
	}
	return strings.TrimSpace(t), nil
}

// errNotOwner is for a token that is good for something else.
var errNotOwner = &failure{
	code: http.StatusForbidden, status: "PERMISSION_DENIED", reason: "NOT_THE_OWNER", domain: domainDaemon,
	message: "the token is not that of the blob's owner",
}

// tellOwner gives the token of a record to whom it was made for.
func (g *Gateway) tellOwner(h http.Header, res *client.StoreResult, opt client.StoreOptions) {
	if t := g.ownerOf(res, opt); t != "" {
		h.Set(ownerHeader, t)
	}
}

// ownerOf is the token of the record that an upload made; none if it was there before, or is given away.
func (g *Gateway) ownerOf(res *client.StoreResult, opt client.StoreOptions) string {
	given := res.Shared || opt.SendTo != ledger.Address{}
	others := res.AlreadyCertified || res.Operation == client.ReuseAndExtend
	if g.owners == nil || given || others {
		return ""
	}
	return g.owners.token(res.Object)
}
