package rdstationtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func serveOrganizationsV1(a *Account, q *request) reply {
	found := slices.DeleteFunc(a.seen(q, CRMOrganizations), func(r *record) bool {
		segments, _ := stringArray(r.fields["segment_ids"])
		segment, user := q.query.Get("organization_segment"), q.query.Get("user_id")
		return segment != "" && !slices.Contains(segments, segment) || user != "" && r.text("owner_id") != user || !contains(r.text("name"), q.query.Get("q"))
	})
	if !orderV1(q, found, "name", "asc", "name", "created_at", "updated_at") {
		return technicalProblem()
	}
	return a.listV1(q, "organizations", found, func(r *record) object { return a.organizationV1(r, "custom_fields") })
}

func serveOrganizationV1(a *Account, q *request) reply {
	r := a.recordV1(q, CRMOrganizations)
	if r == nil {
		return leadNotFound()
	}
	return ok(a.organizationV1(r, "organization_custom_fields"))
}

func serveOrganizationContactsV1(a *Account, q *request) reply {
	r := a.recordV1(q, CRMOrganizations)
	if r == nil {
		return leadNotFound()
	}
	found := slices.DeleteFunc(a.seen(q, CRMContacts), func(c *record) bool { return c.fields["organization_id"] != r.id })
	return a.listV1(q, "contacts", found, a.contactV1)
}

func serveWriteOrganizationV1(a *Account, q *request) reply {
	r, refused := a.existingV1(q, CRMOrganizations)
	if refused != nil {
		return *refused
	}
	body, _ := q.object()
	given, _ := body["organization"].(object)
	problems := messages{}
	a.checkNameV1(problems, CRMOrganizations, given, r, 2, true)
	fields := rename(given, map[string]string{"name": "name", "url": "url", "resume": "description", "user_id": "owner_id", "organization_segments": "segment_ids"})
	if address := text(given["address"]); address != "" {
		fields["address"] = object{"line": address}
	}
	if unknown := a.takeCustom(fields, given["organization_custom_fields"], nil); unknown != "" {
		return noCustomField(unknown)
	}
	if len(problems) > 0 {
		return problems.reply()
	}
	if r == nil && fields["owner_id"] == nil {
		fields["owner_id"] = q.user.ID
	}
	return ok(a.organizationV1(a.storeV1(q, CRMOrganizations, r, fields), "organization_custom_fields"))
}

func serveTasksV1(a *Account, q *request) reply {
	within := func(value any, from, to string) bool {
		day, _, _ := strings.Cut(text(value), "T")
		return (from == "" || day >= from) && (to == "" || day != "" && day <= to)
	}
	found := slices.DeleteFunc(a.seen(q, CRMTasks), func(r *record) bool {
		get := q.query.Get
		owners, _ := stringArray(r.fields["owner_ids"])
		done := strconv.FormatBool(r.fields["status"] == "completed")
		return get("deal_id") != "" && r.text("deal_id") != get("deal_id") || get("type") != "" && r.text("type") != get("type") ||
			get("done") != "" && done != get("done") || get("user_id") != "" && !slices.Contains(owners, get("user_id")) ||
			!within(r.fields["due_date"], get("date_start"), get("date_end")) || !within(r.fields["completed_at"], get("done_date_start"), get("done_date_end"))
	})
	return a.listV1(q, "tasks", found, a.taskV1)
}

func serveTaskV1(a *Account, q *request) reply {
	r := a.recordV1(q, CRMTasks)
	if r == nil {
		return leadNotFound()
	}
	return ok(a.taskV1(r))
}

func serveWriteTaskV1(a *Account, q *request) reply {
	r, refused := a.existingV1(q, CRMTasks)
	if refused != nil {
		return *refused
	}
	body, _ := q.object()
	given, _ := body["task"].(object)
	if kind := text(given["type"]); a.options.CRMFree && kind != "task" && slices.Contains(taskTypes, kind) {
		problem := problem("ACCESS_DENIED", "This account is not allowed to create tasks of the requested type")
		problem["feature"], problem["access"] = "extended_task_types", false
		return listed(http.StatusUnprocessableEntity, problem)
	}
	problems := messages{}
	fields := a.taskFields(q, given, r, problems)
	if len(problems) > 0 {
		return problems.reply()
	}
	return ok(a.taskV1(a.storeV1(q, CRMTasks, r, fields)))
}

func (a *Account) taskFields(q *request, given object, r *record, problems messages) object {
	fields := rename(given, map[string]string{"subject": "name", "type": "type", "notes": "description", "deal_id": "deal_id"})
	sent := func(key string) bool { _, has := given[key]; return has || r == nil }
	if sent("subject") && len([]rune(text(given["subject"]))) < 3 {
		problems.tooShort("subject", "Assunto", 3)
	}
	if sent("type") && !slices.Contains(taskTypes, text(given["type"])) {
		problems.add("type", notIncluded)
	}
	if sent("deal_id") && a.crm.get(CRMDeals, text(given["deal_id"])) == nil {
		problems.add("deal_id", notValid)
	}
	if _, has := given["user_ids"]; has {
		fields["owner_ids"], _ = stringArray(given["user_ids"])
	} else if r == nil {
		fields["owner_ids"] = []string{q.user.ID}
	}
	if sent("date") {
		at, err := time.ParseInLocation("2006-01-02 15:04", text(given["date"])+" "+orDefault(text(given["hour"]), "00:00"), brasilia)
		if err != nil || at.After(q.now.AddDate(4, 0, 0)) {
			problems.add("date", notValid)
		}
		fields["due_date"] = utcTime(at)
	}
	if done, has := given["done"]; has {
		fields["status"] = map[bool]string{true: "completed", false: "open"}[done == true || done == "true"]
	}
	if r == nil {
		fields["created_by_id"] = q.user.ID
	}
	return fields
}

func serveProductsV1(a *Account, q *request) reply {
	return a.listV1(q, "products", a.crm.tables[CRMProducts], productV1)
}

func serveProductV1(a *Account, q *request) reply {
	r := a.recordV1(q, CRMProducts)
	if r == nil {
		return leadNotFound()
	}
	return ok(productV1(r))
}

func serveWriteProductV1(a *Account, q *request) reply {
	r, refused := a.existingV1(q, CRMProducts)
	if refused != nil {
		return *refused
	}
	body, _ := q.object()
	given, _ := body["product"].(object)
	problems := messages{}
	a.checkNameV1(problems, CRMProducts, given, r, 2, true)
	if len([]rune(text(given["name"]))) > 255 {
		problems.add("name", notValid)
	}
	fields := rename(given, map[string]string{"name": "name", "description": "description", "visible": "visible"})
	if price, sent := given["base_price"]; sent {
		f, isNumber := number(price)
		if s := text(price); s != "" {
			f, isNumber = number(json.Number(s))
		}
		if !isNumber {
			problems.add("base_price", notValid)
		}
		fields["price"] = decimal(f)
	}
	if len(problems) > 0 {
		return problems.reply()
	}
	return ok(productV1(a.storeV1(q, CRMProducts, r, fields)))
}

// serveActivities lists notes, without the envelope's counts.
func serveActivities(a *Account, q *request) reply {
	p, refused := readPageV1(q, 20, 200)
	if refused != nil {
		return *refused
	}
	rows := []object{}
	for _, r := range a.crm.tables[CRMNotes] {
		deal, user := q.query.Get("deal_id"), q.query.Get("user_id")
		from, to := parseOr(q.query.Get("start_date")), parseOr(q.query.Get("end_date"))
		if (deal == "" || r.fields[parentKey] == deal) && (user == "" || r.text("user_id") == user) && !r.created.Before(from) && (to.IsZero() || !r.created.After(to)) {
			rows = append(rows, activityV1(r))
		}
	}
	return ok(object{"activities": append([]object{}, slice(rows, p.number, p.limit)...)})
}

func serveCreateActivity(a *Account, q *request) reply {
	body, _ := q.object()
	given, _ := body["activity"].(object)
	deal, user := text(given["deal_id"]), orDefault(text(given["user_id"]), q.user.ID)
	problems := messages{}
	if a.crm.get(CRMDeals, deal) == nil {
		problems.add("deal_id", notValid)
	}
	if text(given["text"]) == "" {
		problems.add("text", notValid)
	}
	if len(problems) > 0 {
		return problems.reply()
	}
	r := a.crm.add(CRMNotes, object{parentKey: deal, "description": given["text"], "user_id": user, "registered_at": utcTime(q.now)}, q.now)
	return ok(activityV1(r))
}
