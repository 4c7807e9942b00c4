package enlace

import (
	"context"
	"fmt"
	"slices"
)

// moveEntity carries out a run's part for one entity.
func (r *run) moveEntity(ctx context.Context, entity string) (result EntityResult, err error) {
	if r.options.Direction != Push {
		if result, err = r.pullEntity(ctx, entity); err != nil {
			return result, err
		}
	}
	if r.options.Direction != Pull {
		if result.Complete = true; r.options.Direction == Push {
			result = EntityResult{Complete: true}
		}
		err = r.pushEntity(ctx, entity, &result)
		result.Complete = result.Complete && err == nil
	}
	return result, err
}

// checkDirection completes the options of a run that pushes, and says what is
// missing.
func (r *run) checkDirection() error {
	o := &r.options
	if o.Direction == Pull {
		return nil
	}
	var faults ValidationError
	if o.Direction != Push && o.Direction != Bidirectional {
		faults.add("Direction", "unknown", fmt.Sprint([]Direction{Pull, Push, Bidirectional}))
	}
	if o.Source == nil {
		faults.add("Source", "missing", "what gives the host's changes")
	}
	if !slices.Contains([]ConflictPolicy{ConflictHold, ConflictLocal, ConflictRemote, ConflictNewest}, o.Conflicts) {
		faults.add("Conflicts", "unknown", "a ConflictPolicy")
	}
	if !slices.Contains([]OnError{OnErrorContinue, OnErrorStop, OnErrorRollback}, o.OnError) {
		faults.add("OnError", "unknown", "an OnError")
	}
	if o.Tries < 0 {
		faults.add("Tries", "negative", "0 for the usual number, or more")
	}
	if o.DryRun {
		r.plan = &Plan{Ref: r.integration.Ref, Provider: r.conn.provider, Direction: o.Direction, CreatedAt: rowTime(), Items: []PlanItem{}}
	}
	return faults.orNil()
}

// selectFor resolves names to the entities that a run of the direction moves.
func selectFor(direction Direction, a IntegrationAdapter, names []string) ([]string, error) {
	d := a.Describe()
	if direction == Pull {
		return selectEntities(d, names)
	}
	if len(names) == 0 || slices.Contains(names, "all") {
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "all" })
		for _, name := range writable(d) {
			if e, _ := d.Entity(name); direction == Push || e.Can(OpRead) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return nil, &Error{Provider: d.Name, Op: "select entities", Kind: ErrUnsupported, Outcome: OutcomeNotRun,
			Message: "no entity can be moved in that direction"}
	}
	for _, name := range names {
		if err := checkWritable(a, name); err != nil {
			return nil, err
		}
		if direction == Bidirectional {
			if err := checkReadable(d, name); err != nil {
				return nil, err
			}
			if _, fetches := As[Fetcher](a); !fetches {
				return nil, &Error{Provider: d.Name, Op: "sync", Kind: ErrUnsupported, Outcome: OutcomeNotRun,
					Message: "both directions at once need an adapter that reads records by id (Fetcher)"}
			}
		}
	}
	return parentsFirst(d, names), nil
}

// writable lists the entities that can be written.
func writable(d Descriptor) []string {
	var names []string
	for _, e := range d.Entities {
		if _, single := d.Entity(e.Name); single && e.Name[len(e.Name)-1] != '*' && e.writes() {
			names = append(names, e.Name)
		}
	}
	return names
}

func (e Entity) writes() bool {
	return slices.ContainsFunc([]Operation{OpCreate, OpUpdate, OpUpsert, OpDelete}, e.Can)
}

// checkWritable refuses an entity that cannot be pushed.
func checkWritable(a IntegrationAdapter, name string) error {
	d := a.Describe()
	e, ok := d.Entity(name)
	if _, pushes := As[Pusher](a); ok && e.writes() && pushes {
		return nil
	}
	problem := "unknown entity"
	if ok {
		problem = "cannot be written"
	}
	return &Error{Provider: d.Name, Op: "select entities", Kind: ErrUnsupported, Outcome: OutcomeNotRun,
		Err: &ValidationError{Faults: []Fault{{Field: name, Problem: problem, Allowed: fmt.Sprint(writable(d))}}}}
}

// pushEntity carries the host's changes of one entity to the provider, and in both
// directions merges them with the provider's.
func (r *run) pushEntity(ctx context.Context, entity string, result *EntityResult) error {
	requests, retries := r.conn.requests.Load(), r.conn.retries.Load()
	e, _ := r.conn.descriptor.Entity(entity) // checked by newRun
	p := &pusher{service: r.service, conn: r.conn, integration: r.integration, runID: r.record.ID, entity: e, source: r.options.Source,
		options: r.options, both: r.options.Direction == Bidirectional, sink: r.sink, writes: &r.writes, held: map[string]error{},
		applying: r.applying[entity]}
	var err error
	if p.mapper, err = r.service.mapper(ctx, r.integration.Ref, entity); err != nil {
		return err
	}
	if r.options.DryRun {
		p.plan = r.plan
		err = p.push(ctx)
	} else {
		err = r.service.leased(ctx, syncLease(r.integration.Ref, entity), r.record.ID, func(ctx context.Context, lease Lease) error {
			p.lease = lease
			return p.push(ctx)
		})
	}
	result.Push = &p.counts
	result.Requests += int(r.conn.requests.Load() - requests)
	result.Retries += int(r.conn.retries.Load() - retries)
	return err
}

// holdBack finds what a run in both directions leaves to the merge that follows its
// pull: what the host has changed too is not overwritten.
type holdBack struct{ run *run }

// held are the provider's ids of the records that the host has changed too.
func (h holdBack) held(ctx context.Context, entity string, records []Record) (map[string]bool, error) {
	store, ref := h.run.service.store, h.run.integration.Ref
	held := map[string]bool{}
	for chunk := range slices.Chunk(records, pushPage/2) {
		q := ChangeQuery{Integration: h.run.integration, Entity: entity, Limit: pushPage}
		for _, r := range chunk {
			q.RemoteIDs = append(q.RemoteIDs, r.ID)
		}
		states, err := store.LoadRecordStates(ctx, ref, entity, q.RemoteIDs)
		if err != nil {
			return nil, wrap("load record states", ErrStore, err)
		}
		links := map[string]string{}
		for _, s := range states {
			if s.LocalID != "" {
				links[s.LocalID] = s.ID
				q.IDs = append(q.IDs, s.LocalID)
			}
		}
		changes, _, err := h.run.options.Source.Changes(ctx, q)
		if err != nil {
			return nil, sourceError(ctx, entity, err)
		}
		for _, c := range changes {
			held[links[c.ID]], held[c.RemoteID] = true, true
		}
		waiting, err := store.LoadOutgoing(ctx, ref, entity, q.IDs)
		if err != nil {
			return nil, wrap("load outgoing changes", ErrStore, err)
		}
		for _, o := range waiting {
			held[links[o.LocalID]] = true
		}
	}
	return held, nil
}
