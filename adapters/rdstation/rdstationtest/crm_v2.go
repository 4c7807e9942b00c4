package rdstationtest

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxReachable = 10_000 // records of a listing; further ones nobody gets to see
	maxCRMPage   = 200
)

func crmNotFound() reply {
	return listed(http.StatusNotFound, problem("RESOURCE_NOT_FOUND", "The resource couldn't be found."))
}

// crmData returns the object under "data".
func crmData(q *request) (object, *reply) {
	body, _ := q.object()
	data, isObject := body["data"].(object)
	if !isObject {
		refused := crmProblem(http.StatusBadRequest, "CANNOT_BE_NULL", "Cannot be null.", "data")
		return nil, &refused
	}
	return data, nil
}

// renderCRM is a record in API v2.
func (a *Account) renderCRM(r *record) object {
	o := object{"id": r.id, "created_at": utcTime(r.created), "updated_at": utcTime(r.updated)}
	for _, s := range a.crm.types[r.entity].fields {
		o[s.name] = r.fields[s.name]
	}
	if r.entity == CRMPipelines {
		ids := []string{}
		for _, stage := range a.crm.stages(r.id) {
			ids = append(ids, stage.id)
		}
		o["stage_ids"] = ids
	}
	return o
}

// serveCRMList lists an entity; of children, those of the parent in the path.
func serveCRMList(entity, parent Entity) func(*Account, *request) reply {
	return func(a *Account, q *request) reply {
		records := a.crm.tables[entity]
		if parent != "" {
			if a.crm.get(parent, q.vars[0]) == nil {
				return crmNotFound()
			}
			records = a.crm.children(entity, q.vars[0])
		}
		return a.listCRM(q, entity, records)
	}
}

func (a *Account) listCRM(q *request, entity Entity, records []*record) reply {
	filter, refused := a.filter(entity, q.query.Get("filter"))
	if refused != nil {
		return *refused
	}
	found := []*record{}
	for _, r := range records {
		if filter.matches(a, r) {
			found = append(found, r)
		}
	}
	if refused := a.sortCRM(q, entity, found); refused != nil {
		return *refused
	}
	return crmPage(a, q, found, a.renderCRM)
}

// filter parses RDQL and checks that every property may be filtered by.
func (a *Account) filter(entity Entity, source string) (*rdql, *reply) {
	filter, valid := parseRDQL(source)
	if valid {
		valid = filter.all(func(name string) bool {
			if field, isCustom := strings.CutPrefix(name, "@"); isCustom {
				return slices.Contains(a.crm.types[entity].filters, "@") && a.crm.customField(a.crm.types[entity].event, field) != nil
			}
			return slices.Contains(a.crm.types[entity].filters, name)
		})
	}
	if !valid {
		refused := crmProblem(http.StatusBadRequest, "INVALID_PARAMETER", "filter is not valid", "filter")
		return nil, &refused
	}
	return filter, nil
}

// sortCRM brings records into the order of sort[…]. Without one, every read has another (F54).
func (a *Account) sortCRM(q *request, entity Entity, found []*record) *reply {
	sorted := false
	for _, part := range strings.FieldsFunc(q.http.URL.RawQuery, func(c rune) bool { return c == '&' }) {
		name, value, _ := strings.Cut(part, "=")
		name, _ = url.QueryUnescape(name)
		property, isSort := strings.CutPrefix(name, "sort[")
		if !isSort {
			continue
		}
		property = strings.TrimSuffix(property, "]")
		if !slices.Contains(a.crm.types[entity].sorts, property) || value != "asc" && value != "desc" {
			refused := crmProblem(http.StatusBadRequest, "INVALID_PARAMETER", "sort is not valid", "sort")
			return &refused
		}
		sorted = true
		sortBy(found, property, value == "desc")
	}
	if !sorted && !a.quirks.StableUnsorted && len(found) > 1 {
		a.crm.turns++
		turn := a.crm.turns % len(found)
		turned := append(slices.Clone(found[turn:]), found[:turn]...)
		copy(found, turned)
	}
	return nil
}

// sortBy sorts records by one property.
func sortBy(records []*record, property string, descending bool) {
	type keyed struct {
		key any
		r   *record
	}
	list := make([]keyed, 0, len(records))
	for _, r := range records {
		list = append(list, keyed{r.property(property), r})
	}
	slices.SortStableFunc(list, func(x, y keyed) int {
		if descending {
			return compareValues(y.key, x.key)
		}
		return compareValues(x.key, y.key)
	})
	for i, item := range list {
		records[i] = item.r
	}
}

// property is what records are sorted by.
func (r *record) property(name string) any {
	switch name {
	case "created_at":
		return utcTime(r.created)
	case "updated_at":
		return utcTime(r.updated)
	case "status":
		if r.entity == CRMProducts {
			return r.fields["visible"]
		}
	}
	return r.fields[name]
}

// compareValues puts null first, then numbers, then texts.
func compareValues(x, y any) int {
	if tx, isText := x.(string); isText {
		if ty, isText := y.(string); isText {
			return strings.Compare(tx, ty)
		}
	}
	nx, isNumberX := number(x)
	ny, isNumberY := number(y)
	switch {
	case isNumberX && isNumberY:
		return cmp.Compare(nx, ny)
	case (x == nil) != (y == nil):
		if x == nil {
			return -1
		}
		return 1
	default:
		return strings.Compare(string(encodeJSON(x)), string(encodeJSON(y)))
	}
}

// crmPage is one page of rows and its links, which carry a prefix that no route has (Q37).
func crmPage[T any](a *Account, q *request, list []T, render func(T) object) reply {
	page, valid := pageNumber(q.query.Get("page[number]"), 1)
	size, validSize := pageNumber(q.query.Get("page[size]"), 20)
	if !valid || !validSize || size > maxCRMPage {
		return crmProblem(http.StatusBadRequest, "INVALID_PARAMETER", "page is not valid", "page")
	}
	list = list[:min(len(list), maxReachable)]
	last := max(1, (len(list)+size-1)/size)
	link := func(number int) string {
		query := []string{}
		for _, key := range slices.Sorted(maps.Keys(q.query)) {
			if key == "filter" || strings.HasPrefix(key, "sort[") {
				query = append(query, url.QueryEscape(key)+"="+url.QueryEscape(q.query.Get(key)))
			}
		}
		query = append(query, "page%5Bnumber%5D="+strconv.Itoa(number), "page%5Bsize%5D="+strconv.Itoa(size))
		path := q.http.URL.EscapedPath()
		if !a.quirks.RoutableLinks {
			path = "/api/v2" + strings.TrimPrefix(path, "/crm/v2")
		}
		return a.api.String() + path + "?" + strings.Join(query, "&")
	}
	links := object{"first": link(1), "self": link(page), "last": link(last)}
	if page > 1 {
		links["prev"] = link(page - 1)
	}
	if page < last {
		links["next"] = link(page + 1)
	}
	rows := []object{}
	for _, item := range slice(list, page, size) {
		rows = append(rows, render(item))
	}
	return ok(object{"data": rows, "links": links})
}

func serveCRMGet(entity, parent Entity) func(*Account, *request) reply {
	return func(a *Account, q *request) reply {
		r := a.crmRecord(q, entity, parent)
		if r == nil {
			return crmNotFound()
		}
		return ok(object{"data": a.renderCRM(r)})
	}
}

// crmRecord finds the record that the path names, as a child of its parent if it has one.
func (a *Account) crmRecord(q *request, entity, parent Entity) *record {
	if parent == "" {
		return a.crm.get(entity, q.vars[0])
	}
	r := a.crm.get(entity, q.vars[1])
	if r == nil || r.fields[parentKey] != q.vars[0] {
		return nil
	}
	return r
}

func serveCRMCreate(entity, parent Entity) func(*Account, *request) reply {
	return func(a *Account, q *request) reply {
		if parent != "" && a.crm.get(parent, q.vars[0]) == nil {
			return crmNotFound()
		}
		data, refused := crmData(q)
		if refused != nil {
			return *refused
		}
		fields, problems := a.checkCRM(entity, data, true)
		if status := fields["status"]; status != nil && (entity == CRMDeals && status != "ongoing" || entity == CRMTasks && status != "open") {
			problems = append(problems, pathProblem("INCLUSION", "It is not valid", "data.status"))
		}
		if len(problems) > 0 {
			return listed(http.StatusUnprocessableEntity, problems...)
		}
		if parent != "" {
			fields[parentKey] = q.vars[0]
		}
		var r *record
		if entity == CRMPipelines {
			r = a.newPipeline(fields, q.now)
		} else {
			r = a.crm.add(entity, fields, q.now)
		}
		a.settle(r, object{}, q.now)
		a.touch(r, true)
		return reply{status: http.StatusCreated, body: object{"data": a.renderCRM(r)}}
	}
}

func serveCRMPut(entity, parent Entity) func(*Account, *request) reply {
	return func(a *Account, q *request) reply {
		r := a.crmRecord(q, entity, parent)
		if r == nil {
			return crmNotFound()
		}
		data, refused := crmData(q)
		if refused != nil {
			return *refused
		}
		fields, problems := a.checkCRM(entity, data, false)
		if len(problems) > 0 {
			return listed(http.StatusUnprocessableEntity, problems...)
		}
		a.changeRecord(r, fields, q.now)
		return ok(object{"data": a.renderCRM(r)})
	}
}

func (a *Account) changeRecord(r *record, fields object, now time.Time) {
	before := maps.Clone(r.fields)
	maps.Copy(r.fields, fields)
	a.settle(r, before, now)
	r.updated = now
	a.touch(r, false)
}

func serveCRMDelete(entity, parent Entity) func(*Account, *request) reply {
	return func(a *Account, q *request) reply {
		r := a.crmRecord(q, entity, parent)
		if r == nil {
			return crmNotFound()
		}
		a.crm.remove(r)
		a.tellCRM(r, "deleted")
		if entity == CRMDealProducts {
			a.priceDeal(q.vars[0])
		}
		return reply{status: http.StatusNoContent}
	}
}

// checkCRM checks the fields of a body. Keys that the entity does not have are ignored.
func (a *Account) checkCRM(entity Entity, data object, create bool) (fields object, problems []object) {
	fields = object{}
	for _, s := range a.crm.types[entity].fields {
		value, given := data[s.name]
		missing := create && !given || given && empty(value)
		switch {
		case s.fixed:
		case s.required && missing:
			problems = append(problems, pathProblem("CANNOT_BE_BLANK", "Can not be blank", "data."+s.name))
		case !given:
		case value == nil:
			fields[s.name] = s.nothing()
		default:
			checked, valid := a.checkCRMValue(s, entity, value)
			if !valid {
				problems = append(problems, pathProblem("INVALID", "It is not valid", "data."+s.name))
			}
			fields[s.name] = checked
		}
	}
	return fields, problems
}

func (a *Account) checkCRMValue(s spec, entity Entity, value any) (any, bool) {
	switch s.kind {
	case textKind:
		v, isText := value.(string)
		fits := s.longest == 0 || len([]rune(v)) <= s.longest
		return value, isText && fits && (s.options == nil || slices.Contains(s.options, v))
	case numberKind:
		f, isNumber := number(value)
		return decimal(f), isNumber
	case intKind:
		_, isNumber := number(value)
		return value, isNumber
	case boolKind:
		_, isBool := value.(bool)
		return value, isBool
	case dateKind:
		v := text(value)
		_, err := time.Parse(time.DateOnly, strings.Replace(v, "0000-", "2000-", 1))
		return value, v == "" || err == nil
	case timeKind:
		at, valid := parseTime(text(value))
		return utcTime(at), valid
	case refKind:
		return value, a.crm.get(s.refs, text(value)) != nil
	case textsKind, refsKind:
		ids, isArray := stringArray(value)
		valid := isArray
		for _, id := range ids {
			valid = valid && (s.kind == textsKind || a.crm.get(s.refs, id) != nil)
		}
		return stringsOrNone(ids), valid
	case listKind:
		_, isArray := value.([]any)
		return value, isArray
	default:
		o, isObject := value.(object)
		return value, isObject && (s.name != "custom_fields" || a.knownFields(entity, o))
	}
}

func (a *Account) knownFields(entity Entity, values object) bool {
	for slug := range values {
		if a.crm.customField(a.crm.types[entity].event, slug) == nil {
			return false
		}
	}
	return true
}

func serveUsersV2(a *Account, q *request) reply {
	filter, valid := parseRDQL(q.query.Get("filter"))
	if !valid || !filter.all(func(name string) bool { return name == "is" }) {
		return crmProblem(http.StatusBadRequest, "INVALID_PARAMETER", "filter is not valid", "filter")
	}
	users := slices.DeleteFunc(slices.Clone(a.crm.users), func(user User) bool {
		return !filter.matches(a, &record{fields: object{"active": !user.Inactive, "visible": true}})
	})
	return crmPage(a, q, users, func(user User) object {
		return object{"id": user.ID, "name": user.Name, "email": user.Email, "phone": nil}
	})
}

// serveTeamsV2 lists teams, whose id has another name than all others (Q39).
func serveTeamsV2(a *Account, q *request) reply {
	return crmPage(a, q, a.teams(), func(t team) object {
		return object{"team_id": t.id, "name": t.name, "user_ids": t.users}
	})
}

type team struct {
	id, name string
	users    []string
}

func (a *Account) teams() []team {
	teams := []team{}
	for _, user := range a.crm.users {
		if user.Team == "" {
			continue
		}
		i := slices.IndexFunc(teams, func(t team) bool { return t.name == user.Team })
		if i < 0 {
			i = len(teams)
			teams = append(teams, team{id: strings.Repeat("0", 21) + strconv.Itoa(100+i), name: user.Team})
		}
		teams[i].users = append(teams[i].users, user.ID)
	}
	return teams
}
