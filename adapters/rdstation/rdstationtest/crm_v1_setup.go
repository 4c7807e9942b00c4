package rdstationtest

import (
	"cmp"
	"slices"
	"strconv"
)

func serveUsersV1(a *Account, q *request) reply {
	rows := []object{}
	for i := range a.crm.users {
		if active := q.query.Get("active"); active == "" || active == strconv.FormatBool(!a.crm.users[i].Inactive) {
			rows = append(rows, a.userV1(&a.crm.users[i]))
		}
	}
	return ok(object{"users": rows})
}

func serveUserV1(a *Account, q *request) reply {
	user := a.crm.user(q.vars[0])
	if user == nil {
		return leadNotFound()
	}
	return ok(a.userV1(user))
}

func serveTeamsV1(a *Account, q *request) reply {
	rows := []object{}
	for _, t := range a.teams() {
		rows = append(rows, a.teamV1(t))
	}
	return ok(object{"teams": rows, "has_more": false, "total": len(rows)})
}

func serveTeamV1(a *Account, q *request) reply {
	for _, t := range a.teams() {
		if t.id == q.vars[0] {
			return ok(a.teamV1(t))
		}
	}
	return leadNotFound()
}

// servePipelinesV1 answers with a bare array.
func servePipelinesV1(a *Account, q *request) reply {
	p, refused := readPageV1(q, 20, 200)
	if refused != nil {
		return *refused
	}
	rows := []object{}
	for _, r := range slice(a.crm.tables[CRMPipelines], p.number, p.limit) {
		rows = append(rows, a.pipelineV1(r))
	}
	return ok(rows)
}

func servePipelineV1(a *Account, q *request) reply {
	r := a.crm.get(CRMPipelines, q.vars[0])
	if r == nil {
		return leadNotFound()
	}
	return ok(a.pipelineV1(r))
}

func serveWritePipelineV1(a *Account, q *request) reply {
	return a.writeNamedV1(q, CRMPipelines, "deal_pipeline", a.pipelineV1)
}

// maxStages is how many stages a page has at most, and if nobody asks for less.
const maxStages = 12

// serveStagesV1 lists the stages of a pipeline; without a known one, of the first.
func serveStagesV1(a *Account, q *request) reply {
	p, refused := readPageV1(q, maxStages, maxStages)
	if refused != nil {
		return *refused
	}
	pipeline := a.crm.get(CRMPipelines, q.query.Get("deal_pipeline_id"))
	if pipeline == nil {
		pipeline = a.crm.tables[CRMPipelines][0]
	}
	stages := a.crm.stages(pipeline.id)
	rows := []object{}
	for _, r := range slice(stages, p.number, p.limit) {
		rows = append(rows, stageV1(r))
	}
	return ok(object{"deal_stages": rows, "has_more": p.number*p.limit < len(stages), "total": len(stages)})
}

func serveStageV1(a *Account, q *request) reply {
	r := a.crm.get(CRMStages, q.vars[0])
	if r == nil {
		return leadNotFound()
	}
	return ok(stageV1(r))
}

func serveWriteStageV1(a *Account, q *request) reply {
	body, _ := q.object()
	given, isObject := body["deal_stage"].(object)
	if !isObject {
		given = body
	}
	pipeline := cmp.Or(text(given["deal_pipeline_id"]), a.crm.tables[CRMPipelines][0].id)
	if a.crm.get(CRMPipelines, pipeline) == nil {
		return messages{"deal_pipeline_id": {notValid}}.reply()
	}
	r, refused := a.existingV1(q, CRMStages)
	if refused != nil {
		return *refused
	}
	problems := messages{}
	a.checkNameV1(problems, CRMStages, given, r, 1, false)
	if len(problems) > 0 {
		return problems.reply()
	}
	fields := rename(given, map[string]string{"name": "name", "order": "order", "nickname": nickKey, "description": "description", "objective": "objective"})
	if r == nil {
		fields[parentKey] = pipeline
	}
	return ok(stageV1(a.storeV1(q, CRMStages, r, fields)))
}

// serveNamedV1 lists campaigns, sources or reasons.
func serveNamedV1(entity Entity, key string) func(*Account, *request) reply {
	return func(a *Account, q *request) reply { return a.listV1(q, key, a.crm.tables[entity], namedV1) }
}

func serveOneNamedV1(entity Entity) func(*Account, *request) reply {
	return func(a *Account, q *request) reply {
		r := a.crm.get(entity, q.vars[0])
		if r == nil {
			return leadNotFound()
		}
		return ok(namedV1(r))
	}
}

func serveWriteNamedV1(entity Entity, wrapper string) func(*Account, *request) reply {
	return func(a *Account, q *request) reply { return a.writeNamedV1(q, entity, wrapper, namedV1) }
}

// writeNamedV1 takes a name, within its wrapper or without.
func (a *Account) writeNamedV1(q *request, entity Entity, wrapper string, render func(*record) object) reply {
	r, refused := a.existingV1(q, entity)
	if refused != nil {
		return *refused
	}
	body, _ := q.object()
	given, isObject := body[wrapper].(object)
	if !isObject {
		given = body
	}
	problems := messages{}
	a.checkNameV1(problems, entity, given, r, 1, false)
	if len(problems) > 0 {
		return problems.reply()
	}
	return ok(render(a.storeV1(q, entity, r, rename(given, map[string]string{"name": "name", "order": "order", "description": "description"}))))
}

// serveCustomFieldsV1 answers with a bare array.
func serveCustomFieldsV1(a *Account, q *request) reply {
	rows := []object{}
	for _, r := range a.crm.tables[CRMCustomFields] {
		if entity := q.query.Get("for"); entity == "" || r.text("entity") == entity {
			rows = append(rows, customFieldV1(r))
		}
	}
	return ok(rows)
}

func serveCustomFieldV1(a *Account, q *request) reply {
	r := a.crm.get(CRMCustomFields, q.vars[0])
	if r == nil {
		return leadNotFound()
	}
	return ok(customFieldV1(r))
}

func serveWriteCustomFieldV1(a *Account, q *request) reply {
	r, refused := a.existingV1(q, CRMCustomFields)
	if refused != nil {
		return *refused
	}
	body, _ := q.object()
	given, isObject := body["custom_field"].(object)
	if !isObject {
		given = body
	}
	fields := rename(given, map[string]string{"label": "name", "for": "entity", "type": "type", "opts": "options", "order": "order",
		"unique": "unique", "allow_new": "allow_new_option", "required_rules": "required_rules"})
	problems := messages{}
	if (r == nil || given["label"] != nil) && text(given["label"]) == "" {
		problems.add("label", notValid)
	}
	if (r == nil || given["for"] != nil) && !slices.Contains([]string{"deal", "contact", "organization"}, text(given["for"])) {
		problems.add("for", notIncluded)
	}
	if len(problems) > 0 {
		return problems.reply()
	}
	return ok(customFieldV1(a.storeV1(q, CRMCustomFields, r, fields)))
}

func serveDeleteCustomFieldV1(a *Account, q *request) reply {
	r := a.crm.get(CRMCustomFields, q.vars[0])
	if r == nil {
		return leadNotFound()
	}
	a.crm.remove(r)
	return ok(object{})
}
