package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// Push implements enlace.Pusher by crm.item.add, update and delete (sheet 5.2). Data
// is the portal's own JSON, as Pull gives it, or a [Contact], [Company], [Deal] or
// [Lead]; user fields go by their original names, UF_CRM_…. The portal ignores fields
// that it does not know: see [DescribeFields].
//
//   - A create with a Key, or whose data has an originId, is carried out once however
//     often it is pushed: the pair of originatorId and originId is searched for before
//     each try, unless its NewKey says that there was none, and again when the answer to
//     a try was lost. Without originatorId and
//     originId in the data, the pair is [Originator] and the Key. Two processes that
//     push one Key at the same moment are not kept apart. Smart processes have no such
//     fields: after a lost answer it remains open whether they were created.
//   - An update may hold values that are empty: they are cleared by the classic method,
//     since crm.item.update is known to pass over them, and the record is read again to
//     see that they are (sheet 5.6).
//   - "fm" patches: an element with an id changes that one, or deletes it if its value
//     is empty; one without is added unless the record has it; the others stay. null
//     deletes all. To say which there shall be, see [EditMultifields].
//   - An upsert goes to the record with the mutation's ID, else to that of its originId,
//     else to the one that has one of its e-mail addresses, else one of its phone
//     numbers (crm.duplicate.findbycomm, sheet 5.9); if there is none it creates. Several
//     that fit are ErrConflict. Deals are not searched for by address.
//   - Deleting what is gone is a success.
//
// The setting "connector" marks the writes, so that they do not come back as offline
// events. Errors: ErrUnsupported, ErrInvalid, ErrConflict, ErrNotFound, ErrForbidden,
// and those of any call. The Outcome says whether the write can have taken effect.
func (Adapter) Push(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (enlace.Ack, error) {
	results := push(ctx, c, []enlace.Mutation{m})
	return results[0].Ack, results[0].Err
}

// MaxBatch implements enlace.BatchPusher: the commands of a batch (sheet 3.3).
func (Adapter) MaxBatch() int { return batchSize }

// PushBatch implements enlace.BatchPusher. It does what [Adapter.Push] does, with one
// batch for the searches of all mutations, and a few for their writes: the first has
// ten commands, the others as many as their time allows. Each write succeeds or fails
// for itself, and none is sent twice; what a batch cannot carry (null, empty lists,
// references) goes by itself. Mutations of one record are carried out in their order;
// others are not.
//
// The error is for a batch of which nothing was tried.
func (Adapter) PushBatch(ctx context.Context, c *enlace.Conn, ms []enlace.Mutation) ([]enlace.PushResult, error) {
	if len(ms) > batchSize {
		return nil, invalid("push", "mutations", "too many", "50 at most")
	}
	results := push(ctx, c, ms)
	for _, r := range results {
		if !stops(r.Err) || outcomeOf(r.Err) != enlace.OutcomeNotRun || enlace.KindLabel(r.Err) != enlace.KindLabel(results[0].Err) {
			return results, nil
		}
	}
	if len(results) == 0 {
		return nil, nil
	}
	return nil, results[0].Err
}

// task is a mutation on its way.
type task struct {
	op     string // for errors
	kind   kind
	does   enlace.Operation
	target string // id of the record; "" if it is to be created, or still to be found
	origin origin
	newKey bool // nothing was tried with the origin before: no record has it

	fields      fields      // to be written
	emptied     fields      // to be cleared
	multifields Multifields // to be merged with those there are
	dropAll     bool        // of the multifields

	written bool // a part of it
	done    bool
	ack     enlace.Ack
	err     error
}

// push carries out mutations in rounds: of those that concern one record, each has a
// round of its own.
func push(ctx context.Context, c *enlace.Conn, ms []enlace.Mutation) []enlace.PushResult {
	tasks := make([]*task, len(ms))
	var left []*task
	for i, m := range ms {
		tasks[i] = newTask(m)
		if tasks[i].err == nil {
			left = append(left, tasks[i])
		}
	}
	for len(left) > 0 {
		var round []*task
		round, left = apart(left)
		later := find(ctx, c, round)
		left = append(later, left...)
		round = slices.DeleteFunc(round, func(t *task) bool { return slices.Contains(later, t) })
		compare(ctx, c, round)
		writeItems(ctx, c, round)
		findLost(ctx, c, round)
		clearFields(ctx, c, round)
	}
	results := make([]enlace.PushResult, len(ms))
	for i, t := range tasks {
		results[i] = enlace.PushResult{Ack: t.ack, Err: t.err}
		if t.err != nil {
			results[i].Ack = enlace.Ack{}
		}
	}
	return results
}

// newTask checks a mutation. What is wrong with it is in the task's err.
func newTask(m enlace.Mutation) *task {
	t := &task{op: opOf(m.Op, m.Entity), does: m.Op}
	entity, ok := Adapter{}.Describe().Entity(m.Entity)
	if !ok || !entity.Can(m.Op) || m.Op == enlace.OpRead {
		t.err = unsupported(t.op, "the portal's "+m.Entity+" have no such operation here")
		return t
	}
	if t.kind, t.err = kindOf(t.op, m.Entity); t.err != nil {
		return t
	}
	if m.Op != enlace.OpCreate && (m.ID != "" || m.Op != enlace.OpUpsert) {
		if t.target, t.err = m.ID, checkID(t.op, m.ID); t.err != nil {
			return t
		}
	}
	if m.Op != enlace.OpDelete {
		t.err = t.take(m)
	}
	return t
}

// take takes the mutation's data apart.
func (t *task) take(m enlace.Mutation) (err error) {
	if t.fields, err = fieldsOf(t.op, m.Data); err != nil {
		return err
	}
	delete(t.fields, "id")
	delete(t.fields, "entityTypeId")
	if fm, given := t.fields["fm"]; given && t.kind.hasMultifields() {
		delete(t.fields, "fm")
		t.dropAll = isNull(fm)
		if t.multifields, given = parseMultifields(fm); !given {
			return invalid(t.op, "fm", "not a list of multifields", `[{"typeId":"PHONE","valueType":"WORK","value":"+1…"}]`)
		}
	}
	if t.target == "" {
		t.origin = t.kind.originOf(t.fields, m.Key)
		t.newKey = m.NewKey && t.fields.text("originId") == ""
		if len(t.origin.id) > maxOrigin || len(t.origin.originator) > maxOrigin {
			return invalid(t.op, "key", "too long", "255 bytes at most")
		}
	}
	if t.does == enlace.OpUpsert && t.target == "" && t.origin.id == "" && len(t.addresses(Email))+len(t.addresses(Phone)) == 0 {
		return invalid(t.op, "id", "nothing to find the record by", "an ID, a Key, an originId, or e-mail addresses or phone numbers in fm")
	}
	t.emptied = fields{}
	for name, raw := range t.fields {
		if nothing(raw) || noLink(name, raw) {
			t.emptied[name] = raw
			delete(t.fields, name)
		}
	}
	return nil
}

// apart takes those tasks that concern records of their own. The others, which may
// concern a record of an earlier one, follow in later rounds.
func apart(tasks []*task) (round, later []*task) {
	seen := map[string]bool{}
	for _, t := range tasks {
		waits := slices.ContainsFunc(t.soughtBy(), func(key string) bool { return seen[key] })
		for _, key := range t.knownBy() {
			seen[key] = true
		}
		if waits {
			later = append(later, t)
		} else {
			round = append(round, t)
		}
	}
	return round, later
}

// knownBy is what a record may be found by once the task is done.
func (t *task) knownBy() []string {
	var keys []string
	add := func(what, value string) { keys = append(keys, t.kind.entity+"/"+what+"/"+value) }
	if t.target != "" {
		add("id", t.target)
	}
	if t.origin.id != "" {
		add(t.origin.originator, t.origin.id)
	}
	for _, f := range t.multifields {
		add(f.TypeID, plainValue(f))
	}
	return keys
}

// soughtBy is what the task finds its record by.
func (t *task) soughtBy() []string {
	sought := *t
	if t.target != "" || t.does != enlace.OpUpsert {
		sought.multifields = nil
	}
	return sought.knownBy()
}

// compare reads the records whose present state matters: multifields are merged with
// those there are, and fields to be cleared may be empty already.
func compare(ctx context.Context, c *enlace.Conn, tasks []*task) {
	var reads []*task
	for _, t := range open(tasks) {
		switch {
		case t.target != "" && (len(t.multifields) > 0 || t.dropAll || len(t.emptied) > 0):
			reads = append(reads, t)
		case len(t.multifields) > 0:
			t.err = t.addMultifields()
		}
	}
	for i, a := range run(ctx, c, each(reads, func(t *task) command { return t.kind.getCommand(t.target) })) {
		t := reads[i]
		if a.err == nil {
			a.err = t.compare(a.result)
		}
		t.err = notRun(a.err)
	}
}

func (t *task) compare(result json.RawMessage) error {
	current, err := multifieldsOf(result)
	if err != nil {
		return err
	}
	patch, err := patchMultifields(current, t.multifields, t.dropAll)
	if err != nil {
		return err
	}
	if len(patch) > 0 {
		if t.fields["fm"], err = json.Marshal(patch); err != nil {
			return err
		}
	}
	full, err := t.notEmpty(result)
	maps.DeleteFunc(t.emptied, func(name string, _ json.RawMessage) bool { return full[name] == nil })
	if len(t.fields) == 0 && len(t.emptied) == 0 { // it is as it shall be
		t.done, t.ack.ID = true, t.target
	}
	return err
}

// notEmpty are the fields to be cleared that hold something.
func (t *task) notEmpty(result json.RawMessage) (fields, error) {
	item, err := rawjson.Get(result, "item")
	if err != nil || item == nil {
		return nil, noAnswer("crm.item.get")
	}
	now, err := fieldsOf(t.op, item)
	if err != nil {
		return nil, noAnswer("crm.item.get")
	}
	maps.DeleteFunc(now, func(name string, raw json.RawMessage) bool {
		return t.emptied[name] == nil || nothing(raw) || zero(raw)
	})
	return now, nil
}

func (t *task) addMultifields() (err error) {
	list := slices.Clone(t.multifields)
	for i := range list {
		list[i].ID = 0
		if list[i].TypeID == "" || list[i].Value == "" {
			return invalid(t.op, "fm", "without type or value", "PHONE, EMAIL, WEB or IM, and a value")
		}
	}
	t.fields["fm"], err = json.Marshal(list)
	return err
}

// writeItems adds, changes and deletes.
func writeItems(ctx context.Context, c *enlace.Conn, tasks []*task) {
	tasks = slices.DeleteFunc(open(tasks), (*task).onlyClears)
	for i, a := range run(ctx, c, each(tasks, func(t *task) command { return t.command(c) })) {
		t := tasks[i]
		if t.err = a.err; a.err == nil {
			t.written = true
			t.err = t.acknowledge(a.result)
		}
		if t.does == enlace.OpDelete && saysNotFound(a.err) {
			t.err, t.ack.ID = t.kind.checkExists(ctx, c), t.target
		}
	}
}

// onlyClears says whether there is nothing to write but fields to be cleared.
func (t *task) onlyClears() bool {
	return t.target != "" && len(t.fields) == 0 && len(t.emptied) > 0
}

// command is the write of a task.
func (t *task) command(c *enlace.Conn) command {
	id := json.Number(t.target)
	switch {
	case t.does == enlace.OpDelete:
		return t.kind.writeCommand(c, "crm.item.delete", map[string]any{"id": id}, true)
	case t.target != "":
		_, adds := t.fields["fm"]
		return t.kind.writeCommand(c, "crm.item.update", map[string]any{"id": id, "fields": t.fields}, !adds)
	default:
		t.keepFalse()
		t.origin.stamp(t.fields)
		return t.kind.writeCommand(c, "crm.item.add", map[string]any{"fields": t.fields}, false)
	}
}

// keepFalse is for a new record: it has nothing to be cleared, but the default of a
// flag may be true.
func (t *task) keepFalse() {
	for name, raw := range t.emptied {
		if string(raw) == "false" {
			t.fields[name] = raw
		}
	}
	t.emptied = nil
}

// acknowledge takes the id of what was added from the portal's answer.
func (t *task) acknowledge(result json.RawMessage) error {
	if t.target != "" {
		t.ack.ID = t.target
		return nil
	}
	raw, _ := rawjson.Get(result, "item", "id")
	id, ok := rawjson.ID(raw)
	if !ok {
		return noAnswer("crm.item.add")
	}
	t.ack = enlace.Ack{ID: id, Created: true}
	return nil
}

// open lists the tasks that are neither done nor failed.
func open(tasks []*task) []*task {
	return slices.DeleteFunc(slices.Clone(tasks), func(t *task) bool { return t.done || t.err != nil })
}

func each(tasks []*task, what func(*task) command) []command {
	commands := make([]command, len(tasks))
	for i, t := range tasks {
		commands[i] = what(t)
	}
	return commands
}

// clearFields empties fields by the classic update and looks whether they are empty
// then (sheet 5.6). Items that have no classic method are updated like others.
func clearFields(ctx context.Context, c *enlace.Conn, tasks []*task) {
	clears := slices.DeleteFunc(open(tasks), func(t *task) bool { return len(t.emptied) == 0 })
	for i, a := range run(ctx, c, each(clears, func(t *task) command { return t.clearCommand(c) })) {
		if t := clears[i]; a.err != nil {
			t.fail(a.err)
		}
	}
	clears = open(clears)
	for i, a := range run(ctx, c, each(clears, func(t *task) command { return t.kind.getCommand(t.target) })) {
		t := clears[i]
		t.written, t.ack.ID = true, t.target
		if a.err != nil {
			t.fail(a.err)
			continue
		}
		t.err = t.checkCleared(a.result)
	}
}

// fail notes the error of a later step: what was written before it stays.
func (t *task) fail(err error) {
	if t.err = err; t.written {
		t.err = partly(err)
	}
}

func (t *task) clearCommand(c *enlace.Conn) command {
	values := map[string]any{}
	for name, raw := range t.emptied {
		if t.kind.classic() == "" {
			values[name] = raw
			continue
		}
		values[t.kind.classicName(name)] = classicEmpty(raw)
	}
	if t.kind.classic() == "" {
		return t.kind.writeCommand(c, "crm.item.update", map[string]any{"id": json.Number(t.target), "fields": values}, true)
	}
	return command{method: "crm." + t.kind.classic() + ".update", writes: true, repeatable: true,
		params: withConnector(c, map[string]any{"id": json.Number(t.target), "fields": values})}
}

func (t *task) checkCleared(result json.RawMessage) error {
	full, err := t.notEmpty(result)
	maps.DeleteFunc(full, func(_ string, raw json.RawMessage) bool { return string(raw) == `"N"` }) // a flag without a yes
	if err == nil && len(full) > 0 {
		err = &enlace.Error{Provider: Name, Op: t.op, Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeRan,
			Message: "the portal did not clear " + strings.Join(slices.Sorted(maps.Keys(full)), ", ")}
	}
	return err
}

// errSeveral is for an upsert that fits several records.
var errSeveral = errors.New("several records have one of its addresses; merge them, or name one by its ID")
