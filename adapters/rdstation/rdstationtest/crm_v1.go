package rdstationtest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	notIncluded = "Não está incluído na lista."
	notValid    = "Não é válido."
)

// messages collects shape L: Portuguese texts by field.
type messages map[string][]string

func (m messages) add(field, message string) { m[field] = append(m[field], message) }

func (m messages) tooShort(field, subject string, least int) {
	m.add(field, subject+" está muito curto, use no mínimo "+strconv.Itoa(least)+" caracteres.")
}

func (m messages) reply() reply {
	return reply{status: http.StatusUnprocessableEntity, body: object{"errors": m}}
}

// visible tells whether a user sees a record (F50). Records without an owner everybody sees.
func (a *Account) visible(user *User, r *record) bool {
	if user.Visibility == Geral {
		return true
	}
	owners := []string{}
	switch r.entity {
	case CRMDeals, CRMOrganizations:
		owners = append(owners, r.text("owner_id"))
	case CRMContacts:
		owners = append(owners, r.text(ownerKey))
	case CRMTasks:
		owners, _ = stringArray(r.fields["owner_ids"])
	}
	owners = slices.DeleteFunc(slices.Clone(owners), func(id string) bool { return id == "" })
	return len(owners) == 0 || slices.ContainsFunc(owners, func(id string) bool {
		other := a.crm.user(id)
		return id == user.ID || user.Visibility == Equipe && other != nil && user.Team != "" && other.Team == user.Team
	})
}

// recordV1 finds the record of the path, unless the user may not see it.
func (a *Account) recordV1(q *request, entity Entity) *record {
	r := a.crm.get(entity, q.vars[0])
	if r == nil || !a.visible(q.user, r) {
		return nil
	}
	return r
}

// pageV1 is which part of a list is asked for.
type pageV1 struct{ number, limit int }

// pageV1 reads page and limit; what is no number ends in a page of HTML (F53).
func readPageV1(q *request, otherwise, largest int) (pageV1, *reply) {
	number, valid := pageNumber(q.query.Get("page"), 1)
	limit, validLimit := pageNumber(q.query.Get("limit"), otherwise)
	if !valid || !validLimit || limit > largest {
		refused := technicalProblem()
		return pageV1{}, &refused
	}
	return pageV1{number, limit}, nil
}

// listV1 answers with an envelope; of a list only its first ten thousand records can be reached (F51).
func (a *Account) listV1(q *request, key string, records []*record, render func(*record) object) reply {
	p, refused := readPageV1(q, 20, 200)
	if refused != nil {
		return *refused
	}
	reachable := records[:min(len(records), maxReachable)]
	rows := []object{}
	for _, r := range slice(reachable, p.number, p.limit) {
		rows = append(rows, render(r))
	}
	return ok(object{key: rows, "has_more": p.number*p.limit < len(reachable), "total": len(records)})
}

// seen returns the records of an entity that the user sees.
func (a *Account) seen(q *request, entity Entity) []*record {
	found := []*record{}
	for _, r := range a.crm.tables[entity] {
		if a.visible(q.user, r) {
			found = append(found, r)
		}
	}
	return found
}

// orderV1 sorts by one of the allowed properties, or reports that it cannot.
func orderV1(q *request, records []*record, otherwise, direction string, allowed ...string) bool {
	property, way := orDefault(q.query.Get("order"), otherwise), orDefault(q.query.Get("direction"), direction)
	if !slices.Contains(allowed, property) || way != "asc" && way != "desc" {
		return false
	}
	sortBy(records, property, way == "desc")
	return true
}

func contains(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}

func serveTokenCheck(a *Account, q *request) reply {
	return ok(object{"email": q.user.Email, "name": q.user.Name, "organization": a.options.Name})
}

func serveContactsV1(a *Account, q *request) reply {
	found := slices.DeleteFunc(a.seen(q, CRMContacts), func(r *record) bool {
		hasMember := func(key, member, wanted string) bool {
			return wanted == "" || slices.Contains(members(r.fields[key], member), any(wanted))
		}
		return !hasMember("emails", "email", q.query.Get("email")) || !hasMember("phones", "phone", q.query.Get("phone")) ||
			q.query.Get("title") != "" && r.text("job_title") != q.query.Get("title") || !contains(r.text("name"), q.query.Get("q"))
	})
	if !orderV1(q, found, "name", "asc", "name", "created_at", "updated_at") {
		return technicalProblem()
	}
	return a.listV1(q, "contacts", found, a.contactV1)
}

func serveContactV1(a *Account, q *request) reply {
	r := a.recordV1(q, CRMContacts)
	if r == nil {
		return leadNotFound()
	}
	return ok(a.contactDetails(r))
}

func serveWriteContactV1(a *Account, q *request) reply {
	r, refused := a.existingV1(q, CRMContacts)
	if refused != nil {
		return *refused
	}
	body, _ := q.object()
	given, _ := body["contact"].(object)
	problems := messages{}
	a.checkNameV1(problems, CRMContacts, given, r, 2, true)
	fields, unknown := a.contactFields(given)
	if unknown != "" {
		return noCustomField(unknown)
	}
	if len(problems) > 0 {
		return problems.reply()
	}
	if r == nil {
		fields[ownerKey] = q.user.ID
	}
	return ok(a.contactDetails(a.storeV1(q, CRMContacts, r, fields)))
}

// existingV1 returns the record that a PUT names, nil for a POST.
func (a *Account) existingV1(q *request, entity Entity) (*record, *reply) {
	if q.route.method == http.MethodPost {
		return nil, nil
	}
	r := a.recordV1(q, entity)
	if r == nil {
		refused := leadNotFound()
		return nil, &refused
	}
	return r, nil
}

// storeV1 adds a record if r is nil and changes it otherwise.
func (a *Account) storeV1(q *request, entity Entity, r *record, fields object) *record {
	if r != nil {
		a.changeRecord(r, fields, q.now)
		return r
	}
	if entity == CRMPipelines {
		r = a.newPipeline(fields, q.now)
	} else {
		r = a.crm.add(entity, fields, q.now)
	}
	a.settle(r, object{}, q.now)
	a.touch(r, true)
	return r
}

func (a *Account) checkNameV1(problems messages, entity Entity, given object, r *record, least int, unique bool) {
	name, sent := given["name"]
	if !sent && r != nil {
		return
	}
	s := strings.TrimSpace(text(name))
	if len([]rune(s)) < least {
		problems.tooShort("name", "Nome", least)
		return
	}
	if unique && slices.ContainsFunc(a.crm.tables[entity], func(other *record) bool { return other != r && strings.EqualFold(other.text("name"), s) }) {
		problems.add("name", "Já está em uso.")
	}
}

func noCustomField(id string) reply {
	return reply{status: http.StatusBadRequest, body: object{"errors": "Could not find a custom field that matches: " + id}}
}

// rename copies the keys that are there, under their names in API v2.
func rename(given object, names map[string]string) object {
	fields := object{}
	for from, to := range names {
		if value, sent := given[from]; sent {
			fields[to] = value
		}
	}
	return fields
}

// contactFields turns a contact of API v1 into fields; unknown is a custom field that is none.
func (a *Account) contactFields(given object) (fields object, unknown string) {
	fields = rename(given, map[string]string{"name": "name", "title": "job_title", "emails": "emails", "phones": "phones",
		"legal_bases": "legal_bases", "organization_id": "organization_id", "notes": notesKey})
	profiles := []any{}
	for _, network := range []string{"facebook", "linkedin", "skype"} {
		if name := text(given[network]); name != "" {
			profiles = append(profiles, object{"type": network, "username": name})
		}
	}
	if len(profiles) > 0 {
		fields["social_profiles"] = profiles
	}
	if day, isObject := given["birthday"].(object); isObject {
		fields["birthday"] = birthday(day)
	}
	unknown = a.takeCustom(fields, given["contact_custom_fields"], nil)
	return fields, unknown
}

func birthday(day object) string {
	n := func(key string) string {
		s := strconv.Itoa(int(numberOr(day[key], numberOr(json.Number(text(day[key])), 0))))
		return strings.Repeat("0", max(0, map[bool]int{true: 4, false: 2}[key == "year"]-len(s))) + s
	}
	return n("year") + "-" + n("month") + "-" + n("day")
}

// takeCustom turns [{custom_field_id,value}] into values by slug, beside those there are already.
func (a *Account) takeCustom(fields object, value any, present object) (unknown string) {
	list, isArray := value.([]any)
	if !isArray {
		return ""
	}
	values := object{}
	maps.Copy(values, present)
	for _, item := range list {
		o, _ := item.(object)
		f := a.crm.get(CRMCustomFields, text(o["custom_field_id"]))
		if f == nil {
			return orDefault(text(o["custom_field_id"]), "null")
		}
		values[f.text("slug")] = o["value"]
	}
	fields["custom_fields"] = values
	return ""
}
