package gateway

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"walrus/client"
	"walrus/client/jsonform"
	"walrus/ledger"
	"walrus/shards"
)

// Deleted lists the records that were deleted.
type Deleted struct {
	Deleted []jsonform.BlobObject `json:"deleted" nullable:"false" doc:"The deleted records."`
}

// Extension reports the extended record and the cost.
type Extension struct {
	BlobObject jsonform.BlobObject `json:"blobObject" doc:"The record after the change."`
	Cost       ledger.Amount       `json:"cost" example:"132300" doc:"The cost in FROST."`
}

// addManage adds the routes for owners of records.
func (g *Gateway) addManage(api huma.API) {
	type objectIn struct {
		ObjectPath
	}
	register(g, api, managing, huma.Operation{
		OperationID: "deleteObject", Method: http.MethodDelete, Path: "/v1/blobs/by-object-id/{object_id}",
		Tags:    []string{tagStore},
		Summary: "Delete the record of a blob", Description: "The content is dropped unless another record keeps it.",
		Security: ownerSecurity, Responses: manageResponses(api, reflect.TypeFor[Deleted]()),
	}, func(w http.ResponseWriter, r *http.Request, in *objectIn) error {
		object, err := in.id()
		if err != nil {
			return err
		}
		return g.deleteObject(w, r, object)
	})
	type blobIn struct {
		BlobPath
	}
	register(g, api, managing, huma.Operation{
		OperationID: "deleteBlob", Method: http.MethodDelete, Path: "/v1/blobs/{blob_id}", Tags: []string{tagStore},
		Summary: "Delete a blob", Description: "Deletes the records of the blob that the token is valid for. The content is dropped unless another record keeps it.",
		Security: ownerSecurity, Responses: manageResponses(api, reflect.TypeFor[Deleted]()),
	}, func(w http.ResponseWriter, r *http.Request, in *blobIn) error {
		id, err := in.id()
		if err != nil {
			return err
		}
		return g.deleteBlob(w, r, id)
	})
	type extendIn struct {
		ObjectPath
		Epochs string `query:"epochs" required:"true" pattern:"^(0*[1-9][0-9]*|max)$" maxLength:"10" example:"1" doc:"Number of epochs to add; max adds as many as the network sells."`
	}
	register(g, api, managing, huma.Operation{
		OperationID: "extendObject", Method: http.MethodPost, Path: "/v1/blobs/by-object-id/{object_id}/extend",
		Tags:    []string{tagStore},
		Summary: "Store a blob for longer", Description: "The publisher pays. If it requires a token for uploads, it requires one here too; the owner's token is then sent in Walrus-Owner-Token.",
		Security: ownerSecurity, Responses: manageResponses(api, reflect.TypeFor[Extension]()),
	}, func(w http.ResponseWriter, r *http.Request, in *extendIn) error {
		object, err := in.id()
		if err != nil {
			return err
		}
		epochs, err := parseEpochs(in.Epochs)
		if err != nil {
			return err
		}
		return g.extend(w, r, object, epochs)
	})
	g.addList(api)
}

// parseEpochs reads a number of epochs, or max.
func parseEpochs(s string) (uint32, error) {
	if s == "max" {
		return client.MaxEpochs, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 || n == client.MaxEpochs {
		return 0, malformed("epochs: want a number from 1 on, or max")
	}
	return uint32(n), nil
}

// own checks that the request comes from the record's owner, and reads the record.
func (g *Gateway) own(ctx context.Context, r *http.Request, object ledger.ObjectID) (*ledger.Blob, error) {
	token, err := presented(r)
	if err != nil {
		return nil, err
	}
	if !g.owners.owns(token, object) {
		return nil, errNotOwner
	}
	return g.record(ctx, object)
}

func (g *Gateway) deleteObject(w http.ResponseWriter, r *http.Request, object ledger.ObjectID) error {
	ctx, done := g.storing(r.Context())
	defer done()
	rec, err := g.own(ctx, r, object)
	if err != nil {
		return err
	}
	if _, err := g.client.Delete(ctx, object); err != nil {
		return err
	}
	return writeJSON(w, Deleted{[]jsonform.BlobObject{jsonform.NewBlobObject(object, rec)}})
}

// deleteBlob deletes the records of a blob that belong to the requester: all of them for the operator.
func (g *Gateway) deleteBlob(w http.ResponseWriter, r *http.Request, id shards.BlobID) error {
	token, err := presented(r)
	if err != nil {
		return err
	}
	ctx, done := g.storing(r.Context())
	defer done()
	records, err := g.client.ListBlobs(ctx, false)
	if err != nil {
		return err
	}
	var out Deleted
	there := false
	for i := range records {
		rec := &records[i]
		if rec.BlobID != id {
			continue
		}
		there = true
		if !g.owners.owns(token, rec.Object) {
			continue
		}
		// Of several records, all up to the first that cannot be deleted are deleted; its error is the answer.
		if _, err := g.client.Delete(ctx, rec.Object); err != nil {
			return err
		}
		out.Deleted = append(out.Deleted, jsonform.NewBlobObject(rec.Object, &rec.Blob))
	}
	switch {
	case !there:
		return client.ErrNotFound
	case len(out.Deleted) == 0:
		return errNotOwner
	}
	return writeJSON(w, out)
}

func (g *Gateway) extend(w http.ResponseWriter, r *http.Request, object ledger.ObjectID, epochs uint32) error {
	ctx, done := g.storing(r.Context())
	defer done()
	rec, err := g.own(ctx, r, object)
	if err != nil {
		return err
	}
	var b bill
	changed, err := g.client.Extend(ctx, object, epochs, client.ExtendOptions{Approve: b.approve(ctx, g.limits)})
	if err != nil {
		b.failed(err)
		return err
	}
	b.paid(changed.Cost)
	rec.End = changed.EndEpoch
	return writeJSON(w, Extension{jsonform.NewBlobObject(object, rec), changed.Cost.Storage})
}
