package zapsign

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/enlace-go/enlace"
)

// Push implements enlace.Pusher. Data is ZapSign's own JSON, or one of the inputs
// of this package.
//
//   - documents: create (from a template if there is a template_id), update, delete
//   - signers: create (with the document's token as doc_token), update, and delete,
//     which takes the signer off the document
//   - templates: create, update, delete
//
// A create with a key is carried out once however often it is pushed; see
// [CreateDocument]. Without a key it is sent once, and what became of it after a
// lost answer remains open. An update that sends a message is not repeated.
// Deleting what is gone already is a success for signers and templates.
func (Adapter) Push(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (enlace.Ack, error) {
	if entity, ok := (Adapter{}).Describe().Entity(m.Entity); !ok || !entity.Can(m.Op) || m.Op == enlace.OpRead {
		return enlace.Ack{}, unsupported("push", string(m.Op)+" of "+m.Entity)
	}
	switch m.Op {
	case enlace.OpCreate:
		return pushCreate(ctx, c, m)
	case enlace.OpUpdate:
		return enlace.Ack{ID: m.ID}, pushUpdate(ctx, c, m)
	default:
		return enlace.Ack{ID: m.ID}, pushDelete(ctx, c, m)
	}
}

func pushCreate(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (enlace.Ack, error) {
	op := "create " + m.Entity
	fields, err := object(op, m.Data)
	if err != nil {
		return enlace.Ack{}, err
	}
	var body json.RawMessage
	var created bool
	switch m.Entity {
	case Documents:
		at := "docs/"
		if fields["template_id"] != nil {
			at = "models/create-doc/"
		}
		body, created, err = createDocument(ctx, c, op, at, fields, m.Key)
	case Signers:
		document := textOf(fields, "doc_token")
		delete(fields, "doc_token")
		body, created, err = addSigner(ctx, c, document, fields, m.Key)
	case Templates:
		body, created, err = createTemplate(ctx, c, fields, m.Key)
	}
	if err != nil {
		return enlace.Ack{}, err
	}
	written, err := decode[struct{ Token string }](op, body)
	return enlace.Ack{ID: written.Token, Created: created}, err
}

func pushUpdate(ctx context.Context, c *enlace.Conn, m enlace.Mutation) error {
	op := "update " + m.Entity
	fields, err := object(op, m.Data)
	if err != nil {
		return err
	}
	if m.Entity == Signers {
		delete(fields, "doc_token")
		_, err = updateSigner(ctx, c, m.ID, fields)
		return err
	}
	at, err := path(collections[m.Entity], m.ID)
	if err != nil {
		return err
	}
	call := enlace.Call{Method: http.MethodPut, Path: at, Body: fields, Idempotent: true, Op: op}
	if m.Entity == Templates {
		_, err = write(ctx, c, call)
		return err
	}
	return acknowledge(ctx, c, call)
}

// collections are the addresses of the entities' single records.
var collections = map[string]string{Documents: "docs", Signers: "signers", Templates: "templates"}

func pushDelete(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (err error) {
	switch m.Entity {
	case Documents:
		_, err = DeleteDocument(ctx, c, m.ID)
		return err // a deleted one can still be deleted: ErrNotFound means that there never was one
	case Signers:
		err = RemoveSigner(ctx, c, m.ID)
	case Templates:
		err = DeleteTemplate(ctx, c, m.ID)
	}
	if errors.Is(err, enlace.ErrNotFound) {
		return nil
	}
	return err
}
