package rdstation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// maxBatch is how many events go into one batch; the provider documents its bytes
// only (sheet 2.5).
const maxBatch = 100

// MaxBatch implements enlace.BatchPusher.
func (*Marketing) MaxBatch() int { return maxBatch }

// Push implements enlace.Pusher.
//
// The id of a contact is a UUID or an [Identifier] as text ("email:bia@example.com").
// An upsert needs an e-mail or phone, as id or in the data; whether it created the
// contact is not told. An update of "funnels" has the contact's id, as in
// [Marketing.SetFunnel]. "events" are created with an [Event] as data, or with the
// provider's body of an event (event_type and payload); they are not repeated if
// they may have run, and neither is any other create. Deleting what is gone already is
// a success.
func (m *Marketing) Push(ctx context.Context, c *enlace.Conn, mutation enlace.Mutation) (enlace.Ack, error) {
	if err := supports(m.Describe(), mutation.Entity, mutation.Op); err != nil {
		return enlace.Ack{}, err
	}
	switch mutation.Entity {
	case "contacts":
		return m.pushContact(ctx, c, mutation)
	case "funnels":
		id, err := ParseIdentifier(mutation.ID)
		if err == nil {
			_, err = m.SetFunnel(ctx, c, id, mutation.Data)
		}
		return enlace.Ack{ID: mutation.ID}, err
	case "events":
		body, err := eventOf(mutation.Data)
		if err != nil {
			return enlace.Ack{}, err
		}
		id, err := m.Send(ctx, c, RawEvent{body.Type, body.Payload})
		return enlace.Ack{ID: id, Created: err == nil}, err
	default:
		return m.pushListed(ctx, c, mutation)
	}
}

func (m *Marketing) pushContact(ctx context.Context, c *enlace.Conn, mutation enlace.Mutation) (enlace.Ack, error) {
	if mutation.Op == enlace.OpCreate {
		created, err := m.CreateContact(ctx, c, mutation.Data)
		return enlace.Ack{ID: created.UUID, Created: err == nil}, err
	}
	id, err := contactOf(mutation)
	if err != nil {
		return enlace.Ack{}, err
	}
	switch mutation.Op {
	case enlace.OpDelete:
		return enlace.Ack{ID: mutation.ID}, orGone(m.DeleteContact(ctx, c, id))
	case enlace.OpUpsert:
		written, err := m.UpsertContact(ctx, c, id, mutation.Data)
		return enlace.Ack{ID: written.UUID}, err
	default:
		written, err := m.UpdateContact(ctx, c, id, mutation.Data)
		return enlace.Ack{ID: written.UUID}, err
	}
}

// orGone makes a success of a deletion that found nothing: it is what a repetition
// finds after a lost answer.
func orGone(err error) error {
	if errors.Is(err, enlace.ErrNotFound) {
		return nil
	}
	return err
}

// contactOf is the contact that a mutation means.
func contactOf(mutation enlace.Mutation) (Identifier, error) {
	if mutation.Op != enlace.OpUpsert || mutation.ID != "" {
		return ParseIdentifier(mutation.ID)
	}
	data, err := json.Marshal(mutation.Data)
	var keys struct{ Email, Phone string }
	if err == nil {
		err = json.Unmarshal(data, &keys)
	}
	switch {
	case err != nil:
		return Identifier{}, invalid("upsert contact", "the record does not marshal to a JSON object")
	case keys.Email != "":
		return ByEmail(keys.Email), nil
	case keys.Phone != "":
		return ByPhone(keys.Phone), nil
	default:
		return Identifier{}, invalid("upsert contact", "neither an id nor an e-mail nor a phone")
	}
}

// pushListed writes fields and catalogues.
func (m *Marketing) pushListed(ctx context.Context, c *enlace.Conn, mutation enlace.Mutation) (enlace.Ack, error) {
	l, op := listings[mutation.Entity], string(mutation.Op)+" "+mutation.Entity
	r := request{call: write(http.MethodPost, l.path, mutation.Data, op)}
	if mutation.Op != enlace.OpCreate {
		id, err := pathID(mutation.ID)
		if err != nil {
			return enlace.Ack{}, err
		}
		r.call.Path += "/" + id
		r.call.Method, r.call.Idempotent = http.MethodPatch, true
	}
	if mutation.Op == enlace.OpDelete {
		return enlace.Ack{ID: mutation.ID}, orGone(m.remove(ctx, c, r.call.Path, op))
	}
	answer, err := m.send(ctx, c, r)
	if err != nil {
		return enlace.Ack{}, err
	}
	raw, _ := rawjson.Get(answer.Body, l.shape.id[0]) // valid, or Classify would have refused it
	id, ok := rawjson.ID(raw)
	if !ok {
		return enlace.Ack{}, malformed(op, errNotIt)
	}
	return enlace.Ack{ID: id, Created: mutation.Op == enlace.OpCreate}, nil
}

// eventOf is the event that is the data of a mutation.
func eventOf(data any) (event, error) {
	if e, ok := data.(Event); ok {
		return encodeEvent(e)
	}
	var body event
	raw, err := json.Marshal(data)
	if err == nil {
		err = json.Unmarshal(raw, &body)
	}
	if err != nil || body.Type == "" || len(body.Payload) == 0 {
		return event{}, invalid("create events", "the data is no Event and has no event_type and payload")
	}
	body.Type, body.Family = strings.ToUpper(body.Type), "CDP"
	return body, nil
}

// PushBatch implements enlace.BatchPusher. The events among the mutations go
// together, by [Marketing.SendBatch]: if one is refused none of them was taken, and
// all have the same error. Everything else goes one by one.
func (m *Marketing) PushBatch(ctx context.Context, c *enlace.Conn, mutations []enlace.Mutation) ([]enlace.PushResult, error) {
	if len(mutations) > maxBatch {
		return nil, invalid("push batch", "more mutations than MaxBatch")
	}
	results := make([]enlace.PushResult, len(mutations))
	var bodies []event
	var places []int
	for i, mutation := range mutations {
		if mutation.Entity != "events" || mutation.Op != enlace.OpCreate {
			results[i].Ack, results[i].Err = m.Push(ctx, c, mutation)
			continue
		}
		body, err := eventOf(mutation.Data)
		if results[i].Err = err; err == nil {
			bodies, places = append(bodies, body), append(places, i)
		}
	}
	m.pushEvents(ctx, c, bodies, func(i int, id string, err error) {
		results[places[i]] = enlace.PushResult{Ack: enlace.Ack{ID: id, Created: err == nil}, Err: err}
	})
	return results, nil
}

// pushEvents sends events in as few batches as the provider's bytes allow, and
// tells what became of each.
func (m *Marketing) pushEvents(ctx context.Context, c *enlace.Conn, bodies []event, tell func(i int, id string, err error)) {
	for first := 0; first < len(bodies); {
		end, size := first, 2
		for end < len(bodies) {
			size += len(bodies[end].Payload) + len(bodies[end].Type) + 60 // its envelope
			if end > first && size > maxEventBody {
				break
			}
			end++
		}
		ids, err := m.sendBatch(ctx, c, bodies[first:end])
		for i := first; i < end; i++ {
			id := ""
			if err == nil {
				id = ids[i-first]
			}
			tell(i, id, err)
		}
		first = end
	}
}
