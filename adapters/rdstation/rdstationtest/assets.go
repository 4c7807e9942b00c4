package rdstationtest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// AssetKind is a kind of things that are made in the product and only read by API (sheet 2.7).
type AssetKind string

// The kinds of assets, named by their paths.
const (
	Emails        AssetKind = "emails"
	LandingPages  AssetKind = "landing_pages"
	Popups        AssetKind = "popups"
	Forms         AssetKind = "embeddables"
	Workflows     AssetKind = "workflows"
	Campaigns     AssetKind = "campaigns"
	CampaignItems AssetKind = "campaign_items" // with campaign_id
)

// assetDefaults are the keys that each kind always has.
func assetDefaults(kind AssetKind) object {
	switch kind {
	case Emails:
		return object{"name": "", "send_at": nil, "leads_count": nil, "status": nil, "type": "email_model", "is_predictive_sending": nil,
			"sending_is_imminent": nil, "behavior_score_info": nil, "campaign_id": nil, "component_template_id": nil}
	case LandingPages, Forms:
		return object{"title": "", "conversion_identifier": "", "status": "PUBLISHED", "has_active_experiment": false, "had_experiment": false}
	case Popups:
		return object{"title": "", "conversion_identifier": "", "status": "PUBLISHED", "trigger": "EXIT_INTENT"}
	case Workflows:
		return object{"name": "", "status": "active", "user_email_created": "owner@example.com", "user_email_updated": "owner@example.com", "actions": []any{}}
	case Campaigns:
		return object{"name": "", "status": "active", "total_items": 0, "user": object{"email": "owner@example.com"}}
	case CampaignItems:
		return object{"item_type": "email", "campaign_id": nil}
	default:
		panic("rdstationtest: there are no assets " + string(kind))
	}
}

// PutAsset adds an asset and returns its id: digits, or a UUID for workflows. fields have the keys
// of the API; those that are missing get a default. A workflow whose status is not active takes no
// leads. It panics if there is no such kind.
func (a *Account) PutAsset(kind AssetKind, fields map[string]any) (id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	asset := assetDefaults(kind)
	now := localTime(a.now())
	asset["created_at"], asset["updated_at"] = now, now
	if kind == Workflows {
		asset["id"] = randomUUID()
	} else {
		asset["id"] = a.number()
	}
	if kind == CampaignItems {
		asset["platform_item_id"], asset["campaign_item_id"], asset["added_at"] = a.number(), asset["id"], now
	}
	maps.Copy(asset, plain(fields, localTime))
	a.assets[string(kind)] = append(a.assets[string(kind)], asset)
	return fmt.Sprint(asset["id"])
}

// serveAssets lists a kind with the filters that all kinds share.
func serveAssets(kind AssetKind, largest int, wrap func(a *Account, rows []object, total int) any) func(*Account, *request) reply {
	return func(a *Account, q *request) reply {
		number, valid := pageNumber(q.query.Get("page"), 1)
		size, validSize := pageNumber(q.query.Get("page_size"), 25)
		if !valid || !validSize || size > largest {
			return flat(http.StatusBadRequest, "MUST_BE_LESS_THAN_OR_EQUAL", fmt.Sprintf("page_size must less than or equal to %d", largest))
		}
		found := []object{}
		for _, asset := range a.assets[string(kind)] {
			if assetMatches(asset, q) {
				found = append(found, asset)
			}
		}
		order := append(q.query["order[]"], q.query["order"]...)
		for _, o := range slices.Backward(order) {
			sortAssets(found, o)
		}
		return ok(wrap(a, slice(found, number, size), len(found)))
	}
}

func assetMatches(asset object, q *request) bool {
	ids := q.query["ids[]"]
	if list := q.query.Get("ids"); list != "" {
		ids = append(ids, strings.Split(list, ",")...)
	}
	if len(ids) > 0 && !slices.Contains(ids, fmt.Sprint(asset["id"])) {
		return false
	}
	if types := q.query["types[]"]; len(types) > 0 && !slices.Contains(types, text(asset["type"])) {
		return false
	}
	if triggers := q.query["trigger[]"]; len(triggers) > 0 && !slices.Contains(triggers, text(asset["trigger"])) {
		return false
	}
	if kind := q.query.Get("item_type"); kind != "" && asset["item_type"] != kind {
		return false
	}
	title := strings.ToLower(text(asset["name"]) + text(asset["title"]))
	if !strings.Contains(title, strings.ToLower(q.query.Get("query")+q.query.Get("search"))) {
		return false
	}
	return q.query.Get("start_date") == "" || inPeriod(text(asset["created_at"]), q.query.Get("start_date"), q.query.Get("end_date"))
}

func sortAssets(found []object, order string) {
	key, direction, _ := strings.Cut(order, ":")
	slices.SortStableFunc(found, func(x, y object) int {
		c := strings.Compare(fmt.Sprint(x[key]), fmt.Sprint(y[key]))
		if strings.EqualFold(direction, "desc") {
			return -c
		}
		return c
	})
}

// pick returns the named keys of each asset, some under other names: "as=key".
func pick(rows []object, keys ...string) []object {
	picked := []object{}
	for _, row := range rows {
		o := object{}
		for _, key := range keys {
			as, from, renamed := strings.Cut(key, "=")
			if !renamed {
				from = as
			}
			o[as] = row[from]
		}
		picked = append(picked, o)
	}
	return picked
}

var emailKeys = []string{"id", "name", "created_at", "updated_at", "send_at", "leads_count", "status", "type", "is_predictive_sending",
	"sending_is_imminent", "behavior_score_info", "campaign_id", "component_template_id"}

func wrapEmails(_ *Account, rows []object, total int) any {
	return object{"items": pick(rows, emailKeys...), "total": total}
}

// updatedKey is misspelled in the documentation of some assets (F58).
func (a *Account) updatedKey() string {
	if a.quirks.CorrectSpelling {
		return "updated_at"
	}
	return "upated_at=updated_at"
}

func wrapPages(a *Account, rows []object, _ int) any {
	return pick(rows, "id", "title", "created_at", a.updatedKey(), "conversion_identifier", "status", "has_active_experiment", "had_experiment")
}

func wrapPopups(_ *Account, rows []object, _ int) any {
	return pick(rows, "id", "title", "created_at", "updated_at", "conversion_identifier", "status", "trigger")
}

func wrapWorkflows(a *Account, rows []object, _ int) any {
	key := "wokflows"
	if a.quirks.CorrectSpelling {
		key = "workflows"
	}
	return object{key: pick(rows, "id", "name", "user_email_created", "created_at", "user_email_updated", "updated_at")}
}

func wrapCampaigns(a *Account, rows []object, _ int) any {
	list := []object{}
	for _, row := range rows {
		list = append(list, a.renderCampaign(row))
	}
	return object{"campaigns": list}
}

func (a *Account) renderCampaign(row object) object {
	o := pick([]object{row}, "id", "name", "status", "created_at", "updated_at", "total_items", "user")[0]
	o["total_items"] = len(a.campaignItems(fmt.Sprint(row["id"])))
	o["links"] = []object{{"rel": "SELF", "href": a.api.String() + "/platform/campaigns/" + fmt.Sprint(row["id"]), "media": "application/json", "method_type": "GET"}}
	return o
}

func (a *Account) campaignItems(id string) []object {
	items := []object{}
	for _, item := range a.assets[string(CampaignItems)] {
		if fmt.Sprint(item["campaign_id"]) == id {
			items = append(items, item)
		}
	}
	return items
}

func (a *Account) asset(kind AssetKind, id string) object {
	for _, asset := range a.assets[string(kind)] {
		if fmt.Sprint(asset["id"]) == id {
			return asset
		}
	}
	return nil
}

func serveEmail(a *Account, q *request) reply {
	email := a.asset(Emails, q.vars[0])
	if email == nil {
		return notFound()
	}
	return ok(pick([]object{email}, emailKeys...)[0])
}

func serveWorkflow(a *Account, q *request) reply {
	workflow := a.asset(Workflows, q.vars[0])
	if workflow == nil {
		return notFound()
	}
	return ok(object{"workflow_info": pick([]object{workflow}, "id", "name", "status", "created_at", "updated_at", "actions")[0]})
}

func serveCampaigns(a *Account, q *request) reply {
	if refused := a.gate(Pro, Advanced); refused != nil {
		return *refused
	}
	return serveAssets(Campaigns, 50, wrapCampaigns)(a, q)
}

func serveCampaign(a *Account, q *request) reply {
	if refused := a.gate(Pro, Advanced); refused != nil {
		return *refused
	}
	campaign := a.asset(Campaigns, q.vars[0])
	if campaign == nil {
		return notFound()
	}
	return ok(object{"campaign": a.renderCampaign(campaign)})
}

func serveCampaignItems(a *Account, q *request) reply {
	if refused := a.gate(Pro, Advanced); refused != nil {
		return *refused
	}
	if a.asset(Campaigns, q.vars[0]) == nil {
		return notFound()
	}
	items := []object{}
	for _, item := range a.campaignItems(q.vars[0]) {
		if assetMatches(item, q) {
			items = append(items, item)
		}
	}
	if order := q.query.Get("order"); order != "" {
		sortAssets(items, order)
	}
	rows := pick(items, "platform_item_id", "campaign_item_id", "item_type", "added_at", "links")
	for _, row := range rows {
		row["links"] = []object{}
	}
	return ok(object{"items": rows})
}

// serveWorkflowLeads puts contacts into a workflow (F59).
func serveWorkflowLeads(a *Account, q *request) reply {
	body, _ := q.object()
	leads, isArray := stringArray(body["leads"])
	largest := map[Plan]int{Pro: 25, Advanced: 50}[a.options.Plan]
	if largest == 0 {
		largest = 10
	}
	workflow := a.asset(Workflows, q.vars[0])
	switch {
	case !isArray || len(leads) == 0:
		return listed(http.StatusBadRequest, pathProblem("CANNOT_BE_NULL", "Cannot be null.", "$.leads"))
	case len(leads) > largest:
		return listed(http.StatusBadRequest, pathProblem("MUST_BE_LESS_THAN_OR_EQUAL", fmt.Sprintf("leads must less than or equal to %d", largest), "$.leads"))
	case workflow == nil || workflow["status"] != "active":
		return listed(http.StatusBadRequest, pathProblem("WORKFLOW_STATUS_ERROR", "Workflow must be activated or does not exist", "$.id"))
	}
	added, missing := []string{}, []string{}
	for _, email := range leads {
		if a.find(identifier{"email", a.email(email)}) == nil {
			missing = append(missing, email)
		} else {
			added = append(added, email)
		}
	}
	inside, _ := stringArray(workflow["leads"])
	workflow["leads"] = append(inside, added...)
	if a.quirks.FlatWorkflowLeads {
		return ok(object{"leads_added": added, "leads_not_found": missing})
	}
	return ok(object{"leads_added": nested(added), "leads_not_found": nested(missing)})
}

func nested(emails []string) [][]string {
	if len(emails) == 0 {
		return [][]string{}
	}
	return [][]string{emails}
}

// WorkflowLeads returns the e-mails that were put into a workflow.
func (a *Account) WorkflowLeads(id string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	emails, _ := stringArray(a.asset(Workflows, id)["leads"])
	return slices.Clone(emails)
}

// The catalogue of products has one feed per account.

func serveFeeds(a *Account, _ *request) reply {
	if a.feed == nil {
		return ok([]object{})
	}
	return ok([]object{a.feed})
}

func serveCreateFeed(a *Account, q *request) reply {
	if a.feed != nil {
		return flat(http.StatusBadRequest, "TAKEN", "Already in use")
	}
	feed := object{"id": a.number(), "status": "pending", "credentials": nil, "created_at": localTime(q.now)}
	if refused := a.changeFeed(feed, q, []string{"name", "url", "format"}); refused != nil {
		return *refused
	}
	a.feed = feed
	return ok(feed)
}

func (a *Account) changeFeed(feed object, q *request, required []string) *reply {
	body, _ := q.object()
	problems := fieldErrors{}
	for _, key := range required {
		if text(body[key]) == "" {
			problems.add(key, "CANNOT_BE_NULL", "Cannot be null.")
		}
	}
	if format := body["format"]; format != nil && !slices.Contains([]string{"xml", "json", "google_shopping"}, text(format)) {
		problems.add("format", "MUST_BE_VALID_OPTION", "Must be one of the valid options.")
	}
	if len(problems) > 0 {
		refused := problems.reply(http.StatusBadRequest)
		return &refused
	}
	for _, key := range []string{"name", "url", "format"} {
		if body[key] != nil {
			feed[key] = body[key]
		}
	}
	if body["username"] != nil {
		feed["credentials"] = body["username"]
	}
	feed["updated_at"] = localTime(q.now)
	return nil
}

func (a *Account) feedOf(q *request) object {
	if a.feed != nil && fmt.Sprint(a.feed["id"]) == q.vars[0] {
		return a.feed
	}
	return nil
}

func serveFeed(a *Account, q *request) reply {
	if a.feedOf(q) == nil {
		return notFound()
	}
	return ok(a.feed)
}

func servePatchFeed(a *Account, q *request) reply {
	if a.feedOf(q) == nil {
		return notFound()
	}
	if refused := a.changeFeed(a.feed, q, nil); refused != nil {
		return *refused
	}
	return ok(a.feed)
}

func serveDeleteFeed(a *Account, q *request) reply {
	if a.feedOf(q) == nil {
		return notFound()
	}
	a.feed = nil
	return reply{status: http.StatusNoContent}
}

// serveAccountInfo is the health check (F60).
func serveAccountInfo(a *Account, _ *request) reply { return ok(object{"name": a.options.Name}) }
