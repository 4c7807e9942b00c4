package rdstationtest

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// dealFilters are the filters of deals that compare one value.
var dealFilters = map[string]string{"user_id": "owner_id", "campaign_id": "campaign_id", "deal_stage_id": "stage_id",
	"deal_lost_reason_id": "lost_reason_id", "deal_pipeline_id": "pipeline_id", "organization": "organization_id"}

func serveDealsV1(a *Account, q *request) reply {
	found := slices.DeleteFunc(a.seen(q, CRMDeals), func(r *record) bool { return !a.dealMatches(q, r) })
	if !a.dealFiltersValid(q) || !orderV1(q, found, "created_at", "desc", "name", "created_at", "updated_at", "closed_at", "rating", "expected_close_date") {
		return flat(http.StatusBadRequest, "INVALID_PARAMETER", "filter is not valid")
	}
	if cursor := q.query.Get("next_page"); cursor != "" {
		number, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			return flat(http.StatusBadRequest, "INVALID_PARAMETER", "next_page is not valid")
		}
		q.query.Set("page", string(number))
	}
	answer := a.listV1(q, "deals", found, a.dealV1)
	if envelope, isList := answer.body.(object); isList && answer.status == http.StatusOK && envelope["has_more"] == true {
		number, _ := pageNumber(q.query.Get("page"), 1)
		envelope["next_page"] = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(number + 1)))
	}
	return answer
}

// periods are the filters of deals by time.
var periods = map[string]string{"closed_at_period": "closed_at", "created_at_period": "created_at", "prediction_date_period": "expected_close_date"}

func (a *Account) dealFiltersValid(q *request) bool {
	if win := q.query.Get("win"); q.query.Has("win") && win != "true" && win != "false" && win != "null" {
		return false
	}
	for period := range periods {
		_, from := parseTime(q.query.Get("start_date"))
		_, to := parseTime(q.query.Get("end_date"))
		if q.query.Get(period) == "true" && !(from && to) {
			return false
		}
	}
	return true
}

func (a *Account) dealMatches(q *request, r *record) bool {
	for filter, field := range dealFilters {
		if wanted := q.query.Get(filter); wanted != "" && r.text(field) != wanted {
			return false
		}
	}
	if name := q.query.Get("name"); q.query.Get("exact_name") == "true" && r.text("name") != name || !contains(r.text("name"), name) {
		return false
	}
	status := r.text("status")
	if wanted, filtered := map[string]string{"true": "won", "false": "lost", "null": "ongoing"}[q.query.Get("win")]; filtered && status != wanted && !(wanted == "ongoing" && status == "paused") {
		return false
	}
	if q.query.Get("hold") == "true" && status != "paused" {
		return false
	}
	if closed := q.query.Get("closed_at"); closed != "" && (closed == "true") != (r.fields["closed_at"] != nil) {
		return false
	}
	return a.dealProductsMatch(q, r) && inPeriods(q, r)
}

func (a *Account) dealProductsMatch(q *request, r *record) bool {
	wanted := q.query.Get("product_presence")
	if wanted == "" {
		return true
	}
	products := a.crm.children(CRMDealProducts, r.id)
	if wanted == "true" || wanted == "false" {
		return (wanted == "true") == (len(products) > 0)
	}
	return slices.ContainsFunc(products, func(p *record) bool {
		return slices.Contains(strings.Split(wanted, ","), p.text("product_id"))
	})
}

func inPeriods(q *request, r *record) bool {
	for period, field := range periods {
		if q.query.Get(period) != "true" {
			continue
		}
		from, _ := parseTime(q.query.Get("start_date"))
		to, _ := parseTime(q.query.Get("end_date"))
		at := parseOr(r.property(field))
		if at.IsZero() || at.Before(from) || at.After(to) {
			return false
		}
	}
	return true
}

func serveDealV1(a *Account, q *request) reply {
	r := a.recordV1(q, CRMDeals)
	if r == nil {
		return leadNotFound()
	}
	return ok(a.dealDetails(r))
}

// serveWriteDealV1 creates or changes a deal. A change of stage counts at the root of the body
// only: within "deal" it is ignored without a word (F52).
func serveWriteDealV1(a *Account, q *request) reply {
	r, refused := a.existingV1(q, CRMDeals)
	if refused != nil {
		return *refused
	}
	body, _ := q.object()
	given, _ := body["deal"].(object)
	problems := messages{}
	a.checkNameV1(problems, CRMDeals, given, r, 1, false)
	fields, unknown := a.dealFields(body, given, r, problems)
	if unknown != "" {
		return noCustomField(unknown)
	}
	if len(problems) > 0 {
		return problems.reply()
	}
	if r == nil {
		if fields["owner_id"] == nil {
			fields["owner_id"] = q.user.ID
		}
		fields["contact_ids"] = a.dealContacts(q, body)
	}
	r = a.storeV1(q, CRMDeals, r, fields)
	products, _ := body["deal_products"].([]any)
	for _, item := range products {
		product, _ := item.(object)
		if fields, valid := a.dealProductFields(product, r.id); valid {
			a.settle(a.crm.add(CRMDealProducts, fields, q.now), object{}, q.now)
		}
	}
	return ok(a.dealDetails(r))
}

func (a *Account) dealFields(body, given object, r *record, problems messages) (fields object, unknown string) {
	fields = rename(given, map[string]string{"name": "name", "prediction_date": "expected_close_date", "user_id": "owner_id",
		"deal_lost_reason_id": "lost_reason_id", "organization_id": "organization_id"})
	var present object
	if r != nil {
		present, _ = r.fields["custom_fields"].(object)
	}
	if rating, sent := given["rating"]; sent {
		if n := numberOr(rating, 0); n < 1 || n > 5 {
			problems.add("rating", notIncluded)
		}
		fields["rating"] = rating
	}
	a.dealStatusV1(fields, given)
	a.dealRefs(fields, body, given, r, problems)
	return fields, a.takeCustom(fields, given["deal_custom_fields"], present)
}

// dealStatusV1 reads win, closed and hold.
func (a *Account) dealStatusV1(fields, given object) {
	if win, sent := given["win"]; sent {
		switch win {
		case true, "true":
			fields["status"] = "won"
		case false, "false":
			fields["status"] = "lost"
		default:
			fields["status"] = "ongoing"
		}
	}
	if given["hold"] == true || given["hold"] == "true" {
		fields["status"] = "paused"
	}
}

// dealRefs reads what a body names beside the deal itself.
func (a *Account) dealRefs(fields, body, given object, r *record, problems messages) {
	stage, sent := body["deal_stage_id"]
	if r == nil && !sent {
		stage, sent = given["deal_stage_id"]
	}
	if sent {
		if fields["stage_id"] = stage; a.crm.get(CRMStages, text(stage)) == nil {
			problems.add("deal_stage_id", notValid)
		}
	}
	for key, ref := range map[string]struct {
		field  string
		entity Entity
	}{"organization": {"organization_id", CRMOrganizations}, "campaign": {"campaign_id", CRMCampaigns}, "deal_source": {"source_id", CRMSources}} {
		named, isObject := body[key].(object)
		id := orDefault(text(named["_id"]), text(named["id"]))
		if !isObject || id == "" {
			continue
		}
		if fields[ref.field] = id; a.crm.get(ref.entity, id) == nil {
			problems.add(key, notValid)
		}
	}
	settings, _ := body["distribution_settings"].(object)
	owner, _ := settings["owner"].(object)
	for _, user := range a.crm.users {
		if user.ID == owner["id"] || user.Email == owner["email"] {
			fields["owner_id"] = user.ID
		}
	}
	if id := text(fields["owner_id"]); id != "" && a.crm.user(id) == nil {
		problems.add("user_id", notValid)
	}
}

// dealContacts links the contacts of set_contacts and makes those of contacts.
func (a *Account) dealContacts(q *request, body object) []string {
	ids := []string{}
	linked, _ := body["set_contacts"].([]any)
	for _, item := range linked {
		o, _ := item.(object)
		if id := orDefault(text(o["id"]), text(o["_id"])); a.crm.get(CRMContacts, id) != nil {
			ids = append(ids, id)
		}
	}
	made, _ := body["contacts"].([]any)
	for _, item := range made {
		o, _ := item.(object)
		if fields, unknown := a.contactFields(o); unknown == "" && text(fields["name"]) != "" {
			fields[ownerKey] = q.user.ID
			ids = append(ids, a.storeV1(q, CRMContacts, nil, fields).id)
		}
	}
	return ids
}

func serveDealContactsV1(a *Account, q *request) reply {
	r := a.recordV1(q, CRMDeals)
	if r == nil {
		return leadNotFound()
	}
	ids, _ := stringArray(r.fields["contact_ids"])
	found := slices.DeleteFunc(a.seen(q, CRMContacts), func(c *record) bool { return !slices.Contains(ids, c.id) })
	return a.listV1(q, "contacts", found, a.contactV1)
}

func serveDealProductsV1(a *Account, q *request) reply {
	if a.recordV1(q, CRMDeals) == nil {
		return leadNotFound()
	}
	return a.listV1(q, "deal_products", a.crm.children(CRMDealProducts, q.vars[0]), a.dealProductV1)
}

func (a *Account) dealProductFields(given object, deal string) (object, bool) {
	fields := rename(given, map[string]string{"product_id": "product_id", "price": "price", "amount": "quantity", "discount": "discount"})
	product := a.crm.get(CRMProducts, text(given["product_id"]))
	if product == nil {
		return nil, false
	}
	if fields["price"] == nil {
		fields["price"] = product.fields["price"]
	}
	fields["discount_type"] = map[bool]string{true: "percentage", false: "amount"}[given["discount_type"] == "percent"]
	fields["billing_frequency"] = map[bool]string{true: "monthly", false: "one-time"}[given["recurrence"] == "monthly"]
	fields[parentKey] = deal
	return fields, true
}

func serveCreateDealProductV1(a *Account, q *request) reply {
	if a.recordV1(q, CRMDeals) == nil {
		return leadNotFound()
	}
	body, _ := q.object()
	problems := messages{}
	if kind := body["discount_type"]; kind != "value" && kind != "percent" {
		problems.add("discount_type", notIncluded)
	}
	if _, isNumber := number(body["discount"]); !isNumber {
		problems.add("discount", notValid)
	}
	fields, valid := a.dealProductFields(body, q.vars[0])
	if !valid {
		problems.add("product_id", notValid)
	}
	if len(problems) > 0 {
		return problems.reply()
	}
	r := a.crm.add(CRMDealProducts, fields, q.now)
	a.settle(r, object{}, q.now)
	return ok(a.dealProductV1(r))
}

func (a *Account) dealProductOf(q *request) *record {
	r := a.crm.get(CRMDealProducts, q.vars[1])
	if a.recordV1(q, CRMDeals) == nil || r == nil || r.fields[parentKey] != q.vars[0] {
		return nil
	}
	return r
}

func servePutDealProductV1(a *Account, q *request) reply {
	r := a.dealProductOf(q)
	if r == nil {
		return leadNotFound()
	}
	body, _ := q.object()
	a.changeRecord(r, rename(body, map[string]string{"price": "price", "amount": "quantity", "discount": "discount"}), q.now)
	return ok(a.dealProductV1(r))
}

func serveDeleteDealProductV1(a *Account, q *request) reply {
	r := a.dealProductOf(q)
	if r == nil {
		return leadNotFound()
	}
	a.crm.remove(r)
	a.priceDeal(q.vars[0])
	return ok(object{})
}
