package fake

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/enlace-go/enlace"
)

// Push implements enlace.Pusher. A create is repeated only if it has a key,
// which makes the provider carry it out once; updates, upserts and deletions set
// fixed values and always may be.
func (Adapter) Push(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (enlace.Ack, error) {
	call, err := writeCall(m)
	if err != nil {
		return enlace.Ack{}, err
	}
	answer, err := c.Send(ctx, call)
	if err != nil {
		return enlace.Ack{}, err
	}
	if m.Op == enlace.OpDelete {
		if answer.Status != http.StatusNoContent {
			return enlace.Ack{}, protocolError("delete "+m.Entity, "the answer is not that of a deletion")
		}
		return enlace.Ack{ID: m.ID}, nil
	}
	written, err := parseRecord(m.Entity, answer.Body)
	if err != nil {
		return enlace.Ack{}, err
	}
	return enlace.Ack{ID: written.ID, Created: answer.Status == http.StatusCreated, Data: written.Data, Modified: written.Modified}, nil
}

func writeCall(m enlace.Mutation) (enlace.Call, error) {
	if err := supports(m.Entity, m.Op); err != nil {
		return enlace.Call{}, err
	}
	call := enlace.Call{Path: m.Entity, Body: m.Data, Idempotent: repeatable(m), Op: string(m.Op) + " " + m.Entity}
	if m.Key != "" {
		call.Header = http.Header{keyHeader: {m.Key}}
	}
	switch m.Op {
	case enlace.OpCreate:
		call.Method = http.MethodPost
		return call, nil
	case enlace.OpUpdate:
		call.Method = http.MethodPatch
	case enlace.OpUpsert:
		call.Method = http.MethodPut
	case enlace.OpDelete:
		call.Method, call.Body = http.MethodDelete, nil
	}
	var err error
	call.Path, err = recordPath(m.Entity, m.ID)
	return call, err
}

func repeatable(m enlace.Mutation) bool { return m.Op != enlace.OpCreate || m.Key != "" }

// write is one mutation on its way in a batch.
type write struct {
	Op     Op              `json:"op"`
	Entity string          `json:"entity"`
	ID     string          `json:"id,omitempty"`
	Key    string          `json:"key,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// written is the fate of a write.
type written struct {
	Status int       `json:"status"`
	ID     string    `json:"id,omitempty"`
	Error  *apiError `json:"error,omitempty"`
	// Record is the record after the write; none after a deletion.
	Record json.RawMessage `json:"record,omitempty"`
}

// MaxBatch implements enlace.BatchPusher.
func (Adapter) MaxBatch() int { return maxBatch }

// PushBatch implements enlace.BatchPusher. Each mutation succeeds or fails by
// itself. The batch is repeated only if each mutation may be.
func (Adapter) PushBatch(ctx context.Context, c *enlace.Conn, ms []enlace.Mutation) ([]enlace.PushResult, error) {
	if len(ms) == 0 {
		return nil, nil
	}
	var request struct {
		Operations []write `json:"operations"`
	}
	for _, m := range ms {
		data, err := json.Marshal(m.Data)
		if err != nil {
			return nil, &enlace.Error{Provider: Name, Op: "batch", Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeNotRun, Err: err}
		}
		request.Operations = append(request.Operations, write{Op: Op(m.Op), Entity: m.Entity, ID: m.ID, Key: m.Key, Data: data})
	}
	var answer struct {
		Results []written `json:"results"`
	}
	once := slices.ContainsFunc(ms, func(m enlace.Mutation) bool { return !repeatable(m) })
	if err := c.Do(ctx, enlace.Call{Method: http.MethodPost, Path: "batch", Body: request, Idempotent: !once}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) != len(ms) {
		return nil, protocolError("batch", "the answer does not have one result for each operation")
	}
	results := make([]enlace.PushResult, len(ms))
	for i, r := range answer.Results {
		results[i].Ack = enlace.Ack{ID: r.ID, Created: r.Status == http.StatusCreated}
		if now, err := parseRecord(ms[i].Entity, r.Record); err == nil {
			results[i].Ack.Data, results[i].Ack.Modified = now.Data, now.Modified
		}
		if r.Error != nil {
			e := classify(r.Status, nil, *r.Error)
			e.Provider, e.Op = Name, string(ms[i].Op)+" "+ms[i].Entity
			results[i] = enlace.PushResult{Err: e}
		}
	}
	return results, nil
}

// Classify implements enlace.Classifier: by the code in the answer first, by the
// status second. A success that is not whole JSON is none; whether it took effect
// is not known.
func (Adapter) Classify(status int, h http.Header, body []byte) error {
	if status >= 200 && status < 300 {
		if status == http.StatusNoContent || json.Valid(body) {
			return nil
		}
		return &enlace.Error{Kind: enlace.ErrProtocol, Status: status, Message: "the answer is not whole JSON"}
	}
	var answer struct {
		Error apiError `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error.Code == "" {
		return enlace.ErrDefault
	}
	return classify(status, h, answer.Error)
}

// classify refines the judgment by status with the provider's code.
func classify(status int, h http.Header, answer apiError) *enlace.Error {
	e, ok := enlace.ClassifyHTTP(status, h).(*enlace.Error)
	if !ok { // a success with an error in it
		e = &enlace.Error{Kind: enlace.ErrProtocol, Status: status}
	}
	e.Code, e.Message = answer.Code, answer.Message
	switch answer.Code {
	case codeUnauthorized:
		e.Kind, e.Outcome = enlace.ErrAuth, enlace.OutcomeNotRun
	case codeCursorExpired:
		e.Kind, e.Outcome = enlace.ErrCursorExpired, enlace.OutcomeNotRun
	case codeReadOnly, codeUnknownEntity:
		e.Kind, e.Outcome = enlace.ErrUnsupported, enlace.OutcomeNotRun
	}
	return e
}
