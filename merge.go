package enlace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// ConflictPolicy says which side wins where both have changed the same field
// since they were last the same, or where one has deleted what the other changed.
type ConflictPolicy string

// The policies.
const (
	// ConflictHold writes to neither side: the record waits until somebody decides
	// ([Service.ResolveConflict]) or one side takes its change back.
	ConflictHold   ConflictPolicy = ""
	ConflictRemote ConflictPolicy = "remote" // the provider wins
	ConflictLocal  ConflictPolicy = "local"  // the host wins
	// ConflictNewest: the later change wins, by Change.Modified and Record.Modified.
	// Where one of them is unknown, or both are the same, it is ConflictHold.
	ConflictNewest ConflictPolicy = "newest"
	// ConflictHost is in the list for what the host's function decided. It is no
	// policy to choose; see SyncOptions.Resolve.
	ConflictHost ConflictPolicy = "host"
)

// Conflict is a record that both sides have changed.
type Conflict struct {
	ID       string          `json:"id"`
	Ref      Ref             `json:"integration"`
	Entity   string          `json:"entity"`
	LocalID  string          `json:"local_id"`
	RemoteID string          `json:"remote_id"`
	Kind     ConflictKind    `json:"kind"`
	State    ConflictState   `json:"state"`
	Policy   ConflictPolicy  `json:"policy,omitempty"` // that resolved it, or whose side was decided for
	Fields   []FieldConflict `json:"fields,omitempty"`
	RunID    string          `json:"run_id"`
	At       time.Time       `json:"at"`
	Version  int64           `json:"version"`

	localModified, remoteModified time.Time
}

// FieldConflict is a field that both sides have changed. An absent value is nil.
type FieldConflict struct {
	Name   string          `json:"name"`
	Base   json.RawMessage `json:"base,omitempty"` // when both were last the same
	Local  json.RawMessage `json:"local,omitempty"`
	Remote json.RawMessage `json:"remote,omitempty"`
	Value  json.RawMessage `json:"value,omitempty"` // what both get; only once it is decided or resolved
}

// ConflictKind is what kind of changes met.
type ConflictKind string

// The kinds of conflicts.
const (
	ConflictFields        ConflictKind = "fields"         // both changed the same fields
	ConflictLocalDeleted  ConflictKind = "local_deleted"  // the host deleted what the provider changed
	ConflictRemoteDeleted ConflictKind = "remote_deleted" // the provider deleted what the host changed
)

// ConflictState is how a conflict stands.
type ConflictState string

// The states of a conflict.
const (
	ConflictOpen     ConflictState = "open"     // waits for a decision
	ConflictDecided  ConflictState = "decided"  // the next run carries the decision out
	ConflictResolved ConflictState = "resolved" // both sides are the same again; kept as a record
)

// ConflictStore keeps conflicts.
type ConflictStore interface {
	// PutConflicts inserts rows or replaces those of the same (integration, id),
	// each with a Version one higher.
	PutConflicts(ctx context.Context, rows []ConflictRow) error

	// LoadConflicts returns the rows of those ids, in any order. len(ids) is at most 1,000.
	LoadConflicts(ctx context.Context, ref Ref, ids []string) ([]ConflictRow, error)

	// Conflicts returns the rows that match q, newest first, and the cursor of the
	// next page, which is empty after the last one.
	Conflicts(ctx context.Context, q ConflictQuery) ([]ConflictRow, string, error)

	// UpdateConflict replaces the row if its version is still row.Version, and
	// returns ErrConflict otherwise, ErrNotFound if there is none.
	UpdateConflict(ctx context.Context, row ConflictRow) error

	// DeleteConflicts removes rows; it is no error if one is not there.
	DeleteConflicts(ctx context.Context, ref Ref, ids []string) error

	// DeleteResolvedConflicts removes up to limit rows, of all tenants, that were
	// resolved before then, and returns how many.
	DeleteResolvedConflicts(ctx context.Context, before time.Time, limit int) (int, error)

	// DeleteAllConflicts removes all rows of an integration.
	DeleteAllConflicts(ctx context.Context, ref Ref) error
}

// ConflictRow is a conflict as a store keeps it: its Fields are in Payload, sealed.
type ConflictRow struct {
	Conflict
	Payload    []byte
	PayloadKey uint64 // the key that sealed Payload
}

// ConflictQuery selects conflicts of one tenant.
type ConflictQuery struct {
	Tenant      string
	Integration string        // only this one's; empty for all
	Entity      string        // only these; empty for all
	State       ConflictState // only these; empty for all
	Cursor      string        // from an earlier answer; empty for the first page
	Limit       int           // page size; 0 is 100, more than 1,000 is 1,000
}

// openConflictID names the one open conflict that a record can have.
func openConflictID(entity, localID string) string {
	sum := sha256.Sum256([]byte(entity + "\x00" + localID))
	return "open-" + encodeID([16]byte(sum[:16]))
}

// fieldSet is a JSON object by its fields. Absent and null are the same.
type fieldSet map[string]json.RawMessage

func parseFields(data json.RawMessage) (fieldSet, error) {
	var f fieldSet
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	return f, nil
}

// data is the object as JSON, with its names in order.
func (f fieldSet) data() json.RawMessage {
	text, _ := json.Marshal(f) // its values are JSON already
	return text
}

// value is a field's value, nil for null.
func (f fieldSet) value(name string) json.RawMessage {
	if v := bytes.TrimSpace(f[name]); len(v) > 0 && string(v) != "null" {
		return v
	}
	return nil
}

// with is f with the fields of others in the place of its own.
func (f fieldSet) with(others fieldSet) fieldSet {
	merged := maps.Clone(f)
	if merged == nil {
		merged = fieldSet{}
	}
	maps.Copy(merged, others)
	return merged
}

// differing are the fields of f whose values are others in than.
func (f fieldSet) differing(than fieldSet) fieldSet {
	delta := fieldSet{}
	for name, value := range f {
		if !sameJSON(f.value(name), than.value(name)) {
			delta[name] = value
		}
	}
	return delta
}

// sameJSON compares two values whatever the order of names and the space in them.
func sameJSON(a, b json.RawMessage) bool {
	return bytes.Equal(a, b) || (len(a) > 0 && len(b) > 0 && bytes.Equal(canonical(a), canonical(b)))
}

// canonical is JSON with names in order and without space; numbers stay as they
// are spelled. What is no JSON is returned as it is.
func canonical(data json.RawMessage) []byte {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil {
		return data
	}
	text, err := json.Marshal(v)
	if err != nil {
		return data
	}
	return text
}

// merged is what a three-way merge of one record comes to.
type merged struct {
	push      fieldSet        // the provider gets these
	take      bool            // the host gets something
	conflicts []FieldConflict // both have changed these, to different values
}

// threeWay merges the fields that the host answers for, against the state in which
// both sides were last the same; a nil base means that there never was one.
func threeWay(base, local, remote fieldSet) merged {
	m := merged{push: fieldSet{}}
	for _, name := range slices.Sorted(maps.Keys(local)) {
		b, l, r := base.value(name), local.value(name), remote.value(name)
		switch {
		case sameJSON(l, r):
		case base != nil && sameJSON(r, b):
			m.push[name] = local[name]
		case base != nil && sameJSON(l, b):
			m.take = true
		default:
			m.conflicts = append(m.conflicts, FieldConflict{Name: name, Base: b, Local: l, Remote: r})
		}
	}
	for name := range remote { // what only the provider has is the host's to take
		if _, shared := local[name]; !shared && !sameJSON(remote.value(name), base.value(name)) {
			m.take = true
		}
	}
	return m
}

// changedSince says whether one of the fields of base has another value now.
func (f fieldSet) changedSince(base fieldSet) bool {
	return base == nil || len(base.differing(f)) > 0
}

// winner is the side that the policy decides for; ConflictHold if it does not.
func (c Conflict) winner(policy ConflictPolicy) ConflictPolicy {
	if policy != ConflictNewest {
		return policy
	}
	l, r := c.localModified, c.remoteModified
	switch {
	case l.IsZero() || r.IsZero() || l.Equal(r):
		return ConflictHold
	case l.After(r):
		return ConflictLocal
	default:
		return ConflictRemote
	}
}

// settle gives each field the value of the side that won.
func (c *Conflict) settle(side ConflictPolicy) {
	for i := range c.Fields {
		f := &c.Fields[i]
		f.Value = f.Remote
		if side == ConflictLocal {
			f.Value = f.Local
		}
	}
}

// sameAs says whether a decision made for c still fits what is there now.
func (c Conflict) sameAs(now Conflict) bool {
	return c.Kind == now.Kind && slices.EqualFunc(c.Fields, now.Fields, func(a, b FieldConflict) bool {
		return a.Name == b.Name && sameJSON(a.Local, b.Local) && sameJSON(a.Remote, b.Remote)
	})
}
