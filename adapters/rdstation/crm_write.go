package rdstation

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// Push implements enlace.Pusher. A create is not repeated if it may have run: the
// CRM has no key to know it again, so look for the record first (see
// [CRM.ContactsByEmail]). The id of a stage is "<pipeline>/<stage>", or the
// pipeline's for a create. Deleting what is gone already is a success.
func (crm CRM) Push(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (enlace.Ack, error) {
	if err := supports(crm.Describe(), m.Entity, m.Op); err != nil {
		return enlace.Ack{}, err
	}
	call := write(http.MethodPost, crmEntities[m.Entity].path, crmBody{m.Data}, string(m.Op)+" "+m.Entity)
	if m.Op == enlace.OpCreate {
		if m.Entity == "stages" {
			if _, err := pathID(m.ID); err != nil {
				return enlace.Ack{}, err
			}
			call.Path += "/" + m.ID + "/stages"
		}
		return pushed(ctx, c, call, m, "data")
	}
	var err error
	if call.Path, err = crmPath(m.Entity, m.ID); err != nil {
		return enlace.Ack{}, err
	}
	call.Method, call.Idempotent = http.MethodPut, true
	if m.Op == enlace.OpDelete {
		call.Method, call.Body = http.MethodDelete, nil
	}
	return pushed(ctx, c, call, m, "data")
}

// pushed carries out a write and finds the id in the answer, which must have one:
// else it is not the provider's.
func pushed(ctx context.Context, c *enlace.Conn, call enlace.Call, m enlace.Mutation, path ...string) (enlace.Ack, error) {
	answer, err := c.Send(ctx, call)
	if m.Op == enlace.OpDelete {
		if err == nil {
			err = checkDeleted(call.Op, answer.Body)
		}
		return enlace.Ack{ID: m.ID}, orGone(err)
	}
	if err != nil {
		return enlace.Ack{}, err
	}
	for _, name := range []string{"id", "_id"} {
		raw, _ := rawjson.Get(answer.Body, append(slices.Clone(path), name)...)
		switch id, ok := rawjson.ID(raw); {
		case !ok:
		case m.Op != enlace.OpCreate:
			return enlace.Ack{ID: m.ID}, nil
		case m.Entity == "stages":
			return enlace.Ack{ID: m.ID + "/" + id, Created: true}, nil
		default:
			return enlace.Ack{ID: id, Created: true}, nil
		}
	}
	return enlace.Ack{}, malformed(call.Op, errNotIt)
}

// checkDeleted finds out whether an answer to a deletion is the provider's: none
// (sheet 2.0 and 3.2), or the record.
func checkDeleted(op string, body []byte) error {
	members := exactMembers(body)
	if len(bytes.TrimSpace(body)) == 0 || members["data"] != nil || members["id"] != nil || members["uuid"] != nil {
		return nil
	}
	return malformed(op, errNotIt)
}

// crmEvents are the events of the entities that can be read (sheet 7.6).
func crmEvents() []string {
	var events []string
	for _, document := range []string{"deal", "contact", "organization", "task", "product", "campaign", "source", "lost_reason"} {
		for _, what := range []string{"created", "updated", "deleted"} {
			events = append(events, "crm_"+document+"_"+what)
		}
	}
	return events
}

// EnsureWebhook implements enlace.WebhookRegistrar: a subscription for each of the
// 24 events of deals, contacts, organizations, tasks, products, campaigns, sources
// and lost reasons. The provider does not give the secret back, so the
// subscription's name holds a fingerprint of it.
func (crm CRM) EnsureWebhook(ctx context.Context, c *enlace.Conn, target string, secret enlace.Secret) error {
	if _, err := withToken(target, secret); err != nil {
		return err
	}
	existing, err := crm.allWebhooks(ctx, c)
	if err != nil {
		return err
	}
	for _, name := range crmEvents() {
		wanted := CRMWebhook{Name: "enlace " + fingerprint(secret), EventName: name, Method: http.MethodPost, URL: target,
			AuthHeader: KeyHeader, AuthKey: secret.Reveal()}
		at := slices.IndexFunc(existing, func(w CRMWebhook) bool { return w.EventName == name && w.URL == target })
		switch {
		case at < 0:
			_, err = crm.Webhooks().Create(ctx, c, wanted)
		case existing[at].Name != wanted.Name || existing[at].Status != "active":
			_, err = crm.Webhooks().Update(ctx, c, existing[at].ID, wanted)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// RemoveWebhook implements enlace.WebhookRegistrar.
func (crm CRM) RemoveWebhook(ctx context.Context, c *enlace.Conn, target string) error {
	existing, err := crm.allWebhooks(ctx, c)
	if err != nil {
		return err
	}
	for _, w := range existing {
		if w.URL != target {
			continue
		}
		if err := crm.Webhooks().Delete(ctx, c, w.ID); err != nil && !errors.Is(err, enlace.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (crm CRM) allWebhooks(ctx context.Context, c *enlace.Conn) ([]CRMWebhook, error) {
	var all []CRMWebhook
	q := &Query{Sort: "name", Size: crmPageSize}
	for range crmReachable / crmPageSize {
		page, err := crm.Webhooks().List(ctx, c, *q)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if q = page.Next; q == nil {
			break
		}
	}
	return all, nil
}
