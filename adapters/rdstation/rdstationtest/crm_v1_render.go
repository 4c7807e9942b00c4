package rdstationtest

import (
	"slices"
	"strconv"
	"strings"
)

// The objects of API v1, made from the fields of API v2 (sheet 3.1).

// base has the keys of every object: both ids and the times.
func base(r *record) object {
	return object{"_id": r.id, "id": r.id, "created_at": localTime(r.created), "updated_at": localTime(r.updated)}
}

func namedV1(r *record) object {
	o := base(r)
	o["name"] = r.fields["name"]
	return o
}

func (a *Account) contactV1(r *record) object {
	o := a.contactBase(r)
	deals := []object{}
	for _, deal := range a.dealsOf(r) {
		d := winOf(deal)
		d["_id"], d["id"], d["name"] = deal.id, deal.id, deal.fields["name"]
		d["closed_at"], d["prediction_date"], d["deal_lost_reason_id"] = localOrNull(deal.fields["closed_at"]), deal.fields["expected_close_date"], deal.fields["lost_reason_id"]
		delete(d, "hold")
		deals = append(deals, d)
	}
	o["deals"] = deals
	return o
}

// contactDetails is one contact: no id but _id, ids of deals, and its organization.
func (a *Account) contactDetails(r *record) object {
	o := a.contactBase(r)
	delete(o, "id")
	ids := []string{}
	for _, deal := range a.dealsOf(r) {
		ids = append(ids, deal.id)
	}
	o["deal_ids"], o["contact_c_f"] = ids, object{}
	if organization := a.crm.get(CRMOrganizations, r.text("organization_id")); organization != nil {
		o["organization"] = object{"_id": organization.id, "name": organization.fields["name"], "resume": organization.fields["description"], "url": organization.fields["url"]}
	}
	return o
}

func (a *Account) contactBase(r *record) object {
	o := base(r)
	o["name"], o["title"], o["notes"], o["organization_id"] = r.fields["name"], r.fields["job_title"], r.fields[notesKey], r.fields["organization_id"]
	o["legal_bases"], o["contact_custom_fields"] = r.fields["legal_bases"], a.customValues(r, "contact", true)
	emails, phones := []object{}, []object{}
	for _, email := range members(r.fields["emails"], "email") {
		emails = append(emails, object{"_id": r.id, "email": email, "created_at": o["created_at"], "updated_at": o["updated_at"]})
	}
	list, _ := r.fields["phones"].([]any)
	for _, item := range list {
		phone, _ := item.(object)
		phones = append(phones, object{"phone": phone["phone"], "type": phone["type"], "whatsapp": false, "whatsapp_full_internacional": nil,
			"whatsapp_url_web": nil, "created_at": o["created_at"], "updated_at": o["updated_at"]})
	}
	o["emails"], o["phones"] = emails, phones
	for _, network := range []string{"facebook", "linkedin", "skype"} {
		o[network] = nil
	}
	profiles, _ := r.fields["social_profiles"].([]any)
	for _, item := range profiles {
		profile, _ := item.(object)
		if network := text(profile["type"]); network == "facebook" || network == "linkedin" || network == "skype" {
			o[network] = profile["username"]
		}
	}
	o["birthday"] = nil
	if parts := strings.Split(r.text("birthday"), "-"); len(parts) == 3 {
		n := func(s string) int { i, _ := strconv.Atoi(s); return i }
		o["birthday"] = object{"_id": r.id, "year": n(parts[0]), "month": n(parts[1]), "day": n(parts[2])}
	}
	return o
}

func (a *Account) dealsOf(contact *record) []*record {
	found := []*record{}
	for _, deal := range a.crm.tables[CRMDeals] {
		if ids, _ := stringArray(deal.fields["contact_ids"]); slices.Contains(ids, contact.id) {
			found = append(found, deal)
		}
	}
	return found
}

// winOf is how API v1 tells a deal's status.
func winOf(deal *record) object {
	o := object{"win": nil, "hold": nil}
	switch deal.fields["status"] {
	case "won":
		o["win"] = true
	case "lost":
		o["win"] = false
	case "paused":
		o["hold"] = true
	}
	return o
}

// customValues are the values of custom fields: by id with the record's times, or with what the
// fields are.
func (a *Account) customValues(r *record, entity string, byID bool) []object {
	values, _ := r.fields["custom_fields"].(object)
	list := []object{}
	for _, key := range sortedKeys(values) {
		f := a.crm.customField(entity, key)
		if f == nil {
			continue
		}
		if byID {
			list = append(list, object{"_id": f.id, "custom_field_id": f.id, "value": values[key], "created_at": localTime(r.created), "updated_at": localTime(r.updated)})
			continue
		}
		list = append(list, object{"value": values[key], "custom_field": object{"id": f.id, "label": f.fields["name"],
			"required": false, "unique": f.fields["unique"], "opts": f.fields["options"], "type": f.fields["type"]}})
	}
	return list
}

// dealV1 is a deal of a list, with amount_montly as it is spelled there (Q23).
func (a *Account) dealV1(r *record) object {
	o := base(r)
	for key, value := range winOf(r) {
		o[key] = value
	}
	o["name"], o["rating"], o["prediction_date"] = r.fields["name"], r.fields["rating"], r.fields["expected_close_date"]
	o["amount_montly"], o["amount_unique"], o["amount_total"] = r.number("recurrence_price"), r.number("one_time_price"), r.number("total_price")
	o["closed_at"], o["user"], o["user_changed"] = localOrNull(r.fields["closed_at"]), object{}, false
	if user := a.crm.user(r.text("owner_id")); user != nil {
		o["user"] = object{"_id": user.ID, "id": user.ID, "name": user.Name, "email": user.Email, "nickname": user.Name}
	}
	o["deal_stage"] = object{}
	if stage := a.crm.get(CRMStages, r.text("stage_id")); stage != nil {
		o["deal_stage"] = stageV1(stage)
	}
	contacts := []object{}
	ids, _ := stringArray(r.fields["contact_ids"])
	for _, id := range ids {
		if contact := a.crm.get(CRMContacts, id); contact != nil {
			c := a.contactBase(contact)
			contacts = append(contacts, object{"name": c["name"], "title": c["title"], "emails": c["emails"], "phones": c["phones"]})
		}
	}
	values := a.customValues(r, "deal", false)
	for _, value := range values {
		value["custom_field_id"] = value["custom_field"].(object)["id"]
	}
	o["contacts"], o["deal_products"], o["deal_custom_fields"] = contacts, a.dealProductsV1(r.id), values
	notes := a.crm.children(CRMNotes, r.id)
	o["interactions"], o["last_activity_at"], o["last_activity_content"] = len(notes), nil, nil
	if n := len(notes); n > 0 {
		o["last_activity_at"], o["last_activity_content"] = localTime(notes[n-1].created), notes[n-1].fields["description"]
	}
	o["markup"], o["markup_created"], o["markup_last_activities"], o["stop_time_limit"] = nil, nil, nil, object{}
	return o
}

func (a *Account) dealDetails(r *record) object {
	o := a.dealV1(r)
	withID := func(named object) object {
		if id, found := named["id"]; found {
			named["_id"] = id
		}
		return named
	}
	o["campaign"], o["campaign_id"] = withID(a.named(CRMCampaigns, r.text("campaign_id"))), r.fields["campaign_id"]
	o["deal_source"], o["deal_source_id"] = withID(a.named(CRMSources, r.text("source_id"))), r.fields["source_id"]
	o["deal_lost_reason_id"], o["deal_pipeline"] = r.fields["lost_reason_id"], a.named(CRMPipelines, r.text("pipeline_id"))
	o["organization"] = withID(a.named(CRMOrganizations, r.text("organization_id")))
	o["deal_stage_histories"], o["from_rdsm_integration"] = r.fields[historyKey], false
	o["errors"], o["c_cf_errors"], o["contact_errors"] = object{}, object{}, object{}
	o["last_note_content"], o["deal_lost_note"] = o["last_activity_content"], nil
	return o
}

func (a *Account) dealProductsV1(deal string) []object {
	list := []object{}
	for _, r := range a.crm.children(CRMDealProducts, deal) {
		list = append(list, a.dealProductV1(r))
	}
	return list
}

func (a *Account) dealProductV1(r *record) object {
	o := base(r)
	o["product_id"], o["amount"], o["amount_decimal"] = r.fields["product_id"], r.number("quantity"), r.number("quantity")
	o["price"], o["discount"], o["total"] = r.number("price"), r.number("discount"), r.number("total_price")
	o["discount_type"] = map[bool]string{true: "percent", false: "value"}[r.fields["discount_type"] == "percentage"]
	o["recurrence"] = map[bool]string{true: "monthly", false: "spare"}[r.fields["billing_frequency"] == "monthly"]
	if product := a.crm.get(CRMProducts, r.text("product_id")); product != nil {
		o["name"], o["description"], o["base_price"] = product.fields["name"], product.fields["description"], priceText(product)
	}
	return o
}

// priceText is a product's price, which API v1 tells as a string.
func priceText(product *record) string {
	return strconv.FormatFloat(product.number("price"), 'f', 1, 64)
}

func productV1(r *record) object {
	o := base(r)
	o["name"], o["description"], o["visible"], o["base_price"] = r.fields["name"], r.fields["description"], r.fields["visible"], priceText(r)
	return o
}

func (a *Account) organizationV1(r *record, customKey string) object {
	o := base(r)
	address, _ := r.fields["address"].(object)
	o["name"], o["url"], o["resume"], o["address"] = r.fields["name"], r.fields["url"], r.fields["description"], address["line"]
	o["user"], o["organization_segments"] = object{}, []object{}
	if user := a.crm.user(r.text("owner_id")); user != nil {
		o["user"] = object{"_id": user.ID, "name": user.Name, "email": user.Email}
	}
	segments := []object{}
	ids, _ := stringArray(r.fields["segment_ids"])
	for _, id := range ids {
		if segment := a.crm.get(CRMSegments, id); segment != nil {
			segments = append(segments, object{"_id": segment.id, "id": segment.id, "name": segment.fields["name"]})
		}
	}
	contacts := []object{}
	for _, contact := range a.crm.tables[CRMContacts] {
		if contact.fields["organization_id"] == r.id {
			contacts = append(contacts, object{"_id": contact.id, "id": contact.id, "name": contact.fields["name"]})
		}
	}
	o["organization_segments"], o["contacts"], o[customKey] = segments, contacts, a.customValues(r, "organization", true)
	counts := map[string]int{}
	for _, deal := range a.crm.tables[CRMDeals] {
		if deal.fields["organization_id"] == r.id {
			counts[deal.text("status")]++
		}
	}
	o["won_count"], o["lost_count"], o["opened_count"], o["paused_count"] = counts["won"], counts["lost"], counts["ongoing"], counts["paused"]
	return o
}

func (a *Account) taskV1(r *record) object {
	o := base(r)
	o["subject"], o["type"], o["notes"], o["deal_id"] = r.fields["name"], r.fields["type"], r.fields["description"], r.fields["deal_id"]
	o["done"], o["done_date"], o["hour"], o["date"] = r.fields["status"] == "completed", localOrNull(r.fields["completed_at"]), nil, nil
	if due := parseOr(r.fields["due_date"]); !due.IsZero() {
		o["date"], o["hour"] = localTime(due), due.In(brasilia).Format("15:04")
	}
	ids, _ := stringArray(r.fields["owner_ids"])
	users := []object{}
	for _, id := range ids {
		if user := a.crm.user(id); user != nil {
			users = append(users, object{"_id": user.ID, "name": user.Name, "email": user.Email})
		}
	}
	o["user_ids"], o["users"] = stringsOrNone(ids), users
	return o
}

func activityV1(r *record) object {
	o := base(r)
	o["text"], o["deal_id"], o["user_id"], o["date"] = r.fields["description"], r.fields[parentKey], r.fields["user_id"], localTime(r.created)
	return o
}

func (a *Account) userV1(user *User) object {
	return object{"_id": user.ID, "id": user.ID, "active": !user.Inactive, "email": user.Email, "hidden": false, "last_login": nil, "name": user.Name,
		"created_at": nil, "updated_at": nil}
}

func (a *Account) teamV1(t team) object {
	users := []object{}
	for _, id := range t.users {
		users = append(users, object{"_id": id, "id": id})
	}
	return object{"_id": t.id, "id": t.id, "name": t.name, "team_users": users}
}

func (a *Account) pipelineV1(r *record) object {
	stages := []object{}
	for _, stage := range a.crm.stages(r.id) {
		stages = append(stages, object{"_id": stage.id, "id": stage.id, "name": stage.fields["name"], "nickname": stage.fields[nickKey],
			"order": stage.fields["order"], "configuration": object{}})
	}
	return object{"id": r.id, "name": r.fields["name"], "order": r.fields["order"], "config": object{}, "deal_stages": stages}
}

func stageV1(r *record) object {
	o := base(r)
	o["name"], o["nickname"], o["order"], o["deal_pipeline_id"] = r.fields["name"], r.fields[nickKey], r.fields["order"], r.fields[parentKey]
	return o
}

func customFieldV1(r *record) object {
	o := base(r)
	o["label"], o["for"], o["type"], o["opts"], o["order"] = r.fields["name"], r.fields["entity"], r.fields["type"], r.fields["options"], r.fields["order"]
	o["required"], o["required_rules"], o["unique"], o["allow_new"], o["visible"] = false, r.fields["required_rules"], r.fields["unique"], r.fields["allow_new_option"], true
	return o
}
