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

// ownerHeader carries the token of a record's owner: in responses to uploads, and in requests that use Authorization
// for something else.
const ownerHeader = "Walrus-Owner-Token"

// owners makes and checks owner tokens. The publisher owns all records, so clients prove with a token which records
// they uploaded. A token is a keyed hash of the record's ID, so none is stored. The operator's token is valid for every
// record.
type owners struct{ key []byte }

// newOwners derives the key from the publisher's secret.
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

// token returns the token of a record.
func (o *owners) token(object ledger.ObjectID) string { return o.sum("object ", object[:]) }

func (o *owners) operator() string { return o.sum("operator", nil) }

// owns reports whether token is valid for a record.
func (o *owners) owns(token string, object ledger.ObjectID) bool {
	return hmac.Equal([]byte(token), []byte(o.token(object))) || hmac.Equal([]byte(token), []byte(o.operator()))
}

// OperatorToken returns the token that is valid for every record of the publisher with this StoreConfig.OwnerKey.
func OperatorToken(ownerKey []byte) (string, error) {
	o, err := newOwners(ownerKey)
	if err != nil || o == nil {
		return "", err
	}
	return o.operator(), nil
}

// presented returns the token of a request.
func presented(r *http.Request) (string, error) {
	if t := r.Header.Get(ownerHeader); t != "" {
		return t, nil
	}
	scheme, t, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || t == "" {
		return "", &failure{
			code: http.StatusUnauthorized, status: "UNAUTHENTICATED", reason: "MISSING_OWNER_TOKEN", domain: domainDaemon,
			challenge: "Bearer",
			message: "only the owner may do this: send the token from the upload's response header " + ownerHeader +
				" as Authorization: Bearer",
		}
	}
	return strings.TrimSpace(t), nil
}

// errNotOwner is returned for a token that is valid for something else.
var errNotOwner = &failure{
	code: http.StatusForbidden, status: "PERMISSION_DENIED", reason: "NOT_THE_OWNER", domain: domainDaemon,
	message: "the token belongs to another record",
}

// tellOwner adds the token of a record that the upload made to the response.
func (g *Gateway) tellOwner(h http.Header, res *client.StoreResult, opt client.StoreOptions) {
	if t := g.ownerOf(res, opt); t != "" {
		h.Set(ownerHeader, t)
	}
}

// ownerOf returns the token of the record that an upload made; empty if the record existed before or is given away.
func (g *Gateway) ownerOf(res *client.StoreResult, opt client.StoreOptions) string {
	given := res.Shared || opt.SendTo != ledger.Address{}
	others := res.AlreadyCertified || res.Operation == client.ReuseAndExtend
	if g.owners == nil || given || others {
		return ""
	}
	return g.owners.token(res.Object)
}
