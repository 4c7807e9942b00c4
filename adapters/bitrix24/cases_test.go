package bitrix24_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/google/go-cmp/cmp"
)

// TestCases are the cases of section 10 of the contract sheet with the adapter as the
// client: what a program gets, and what becomes of the portal. The fake passes the same
// cases request by request; sheet_test.go says where these and all other numbers of the
// sheet are tested.
func TestCases(t *testing.T) {
	for _, c := range cases {
		bubble(t, c.name, func(t *testing.T) {
			// The day of the sheet's cases, in the portal's zone.
			time.Sleep(time.Until(time.Date(2026, 5, 29, 8, 0, 0, 0, time.UTC)))
			portal := bitrix24test.New(bitrix24test.Options{MemberID: "0123456789abcdef0123456789abcdef", ClientID: "local.1", Limits: c.limits,
				ApplicationToken: webhookToken, Callback: target, EventTransport: bitrix24test.HandlerTransport(&letterbox{}),
				UserFields: []bitrix24test.UserField{{EntityTypeID: bitrix24test.Contact, Name: "UF_CRM_1700000001", Type: "string"}}})
			defer portal.Close()
			portal.Put(bitrix24test.Contact, map[string]any{"id": 11, "name": "Ana", "lastName": "Lima", "companyId": 5,
				"createdTime": at("2026-04-01T09:00:00+02:00"), "updatedTime": at("2026-05-20T08:15:00+02:00"),
				"fm": []bitrix24test.Multifield{{ID: 902, TypeID: "PHONE", ValueType: "MOBILE", Value: "+5511999990000"}}})
			connect := webhookHost
			if c.application {
				connect = oauthHost
			}
			h := connect(t, portal, nil)
			portal.ResetStats()
			c.run(h)
			h.showsNoSecret(secretOf(portal), portal.ClientSecret())
		})
	}
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// failed says whether err is of that kind and outcome.
func failed(err, kind error, outcome enlace.Outcome) bool {
	e, ok := errors.AsType[*enlace.Error](err)
	return ok && errors.Is(err, kind) && e.Outcome == outcome
}

func contact(h *host, id bitrix24.ID) bitrix24.Contact {
	h.t.Helper()
	c, err := bitrix24.Get[bitrix24.Contact](h.t.Context(), h.conn(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

var cases = []struct {
	name        string
	application bool
	limits      *bitrix24test.Limits
	run         func(h *host)
}{
	{name: "T01 health check", run: func(h *host) {
		report, err := h.service.TestConnection(h.t.Context(), enlace.ConnectionTest{Ref: h.ref})
		if err != nil || !report.OK {
			h.t.Errorf("%+v, %v", report, err)
		}
	}},
	{name: "T02 first page of 130", run: func(h *host) {
		h.portal.Put(bitrix24test.Contact, map[string]any{"id": 12, "name": "Bo", "updatedTime": at("2026-05-02T00:00:00Z")})
		h.portal.Put(bitrix24test.Contact, map[string]any{"id": 13, "name": "too old", "updatedTime": at("2026-04-30T00:00:00Z")})
		for id := range 128 {
			h.portal.Put(bitrix24test.Contact, map[string]any{"id": 14 + id, "name": "More"})
		}
		records, _, err := h.pull(enlace.PullRequest{Since: at("2026-05-01T00:00:00+02:00")}, 0)
		if err != nil || len(records) != 130 {
			h.t.Fatalf("%d records, %v", len(records), err)
		}
		for _, r := range records {
			c, err := enlace.DecodeRecord[bitrix24.Contact](r)
			if want := map[string]int{"11": 1}[r.ID]; err != nil || len(c.Multifields) != want {
				h.t.Errorf("%s: %+v, %v", r.ID, c, err)
			}
		}
	}},
	{name: "T03 list without count", run: func(h *host) {
		h.portal.Put(bitrix24test.Contact, map[string]any{"id": 13, "name": "Cy", "updatedTime": at("2026-05-20T08:15:00+02:00")})
		w := &wire{base: h.portal.Transport()}
		h.config.Transport = w
		h.restart()
		page, err := bitrix24.Adapter{}.Pull(h.t.Context(), h.conn(), enlace.PullRequest{Entity: "contacts", Since: at("2026-05-01T00:00:00+02:00")})
		if err != nil || len(page.Records) != 2 || !page.Done || !page.Records[1].Modified.Equal(at("2026-05-20T08:15:00+02:00")) {
			h.t.Errorf("%+v, %v", page, err)
		}
		list := w.sent[slices.IndexFunc(w.sent, func(s sent) bool { return strings.Contains(s.url, "crm.item.list") })].body
		for _, part := range []string{`"order":{"id":"ASC"}`, `=updatedTime":"2026-05-01T00:00:00+02:00"`, `"start":-1`, `"useOriginalUfNames":"Y"`, `"entityTypeId":3`} {
			if !strings.Contains(list, part) {
				h.t.Errorf("%s is not in %s", part, list)
			}
		}
	}},
	{name: "T04, T05 get with multifields and empties", run: func(h *host) {
		got := contact(h, 11)
		if got.Name != "Ana" || got.SecondName != "" || got.LastName != "Lima" || got.Birthdate != "" || got.CompanyID != 5 || got.AssignedByID != 1 || got.Opened != "Y" ||
			got.OriginID != "" || !got.CreatedTime.Equal(at("2026-04-01T09:00:00+02:00")) || got.UserFields["UF_CRM_1700000001"] != nil {
			h.t.Errorf("%+v", got)
		}
		if diff := cmp.Diff(bitrix24.Multifields{{ID: 902, TypeID: bitrix24.Phone, ValueType: "MOBILE", Value: "+5511999990000"}}, got.Multifields); diff != "" {
			h.t.Error(diff)
		}
	}},
	{name: "T06 add, an unknown field is ignored", run: func(h *host) {
		ack := h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "Dora", "originatorId": "our-app", "originId": "c-77", "noSuchField": "x",
			"fm": []any{map[string]any{"typeId": "EMAIL", "valueType": "WORK", "value": "dora@example.org"}}}})
		if got := h.get("contacts", ack.ID); !ack.Created || got["originId"] != "c-77" || got["noSuchField"] != nil || got["email"] != "dora@example.org" {
			h.t.Errorf("%+v, %v", ack, got)
		}
	}},
	{name: "T07 add a deal", run: func(h *host) {
		general := bitrix24.ID(0)
		id, created, err := bitrix24.Create(h.t.Context(), h.conn(), bitrix24.Deal{Title: "Order 77", CategoryID: &general, StageID: "NEW", Opportunity: "150.5", CurrencyID: "EUR",
			ContactIDs: []bitrix24.ID{11}, Item: bitrix24.Item{OriginatorID: "our-app", OriginID: "o-77"}}, "")
		if err != nil || !created {
			h.t.Fatal(created, err)
		}
		got, err := bitrix24.Get[bitrix24.Deal](h.t.Context(), h.conn(), id)
		if err != nil || got.StageSemanticID != "P" || got.Opportunity != "150.5" || got.CompanyID != 0 || got.ContactID != 11 || got.Closed != "N" || !got.CreatedTime.Equal(at("2026-05-29T10:00:00+02:00")) {
			h.t.Errorf("%+v, %v", got, err)
		}
	}},
	{name: "T08 add rejected", run: func(h *host) {
		_, err := h.push(enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: bitrix24.Contact{Name: "X", Multifields: bitrix24.Multifields{{TypeID: bitrix24.Email, Value: "not-an-email"}}}})
		if !failed(err, enlace.ErrInvalid, enlace.OutcomeRan) || h.count("contacts") != 1 {
			h.t.Error(err)
		}
	}},
	{name: "T09 multifields: change one, delete one, add one", run: func(h *host) {
		h.portal.Put(bitrix24test.Contact, map[string]any{"id": 11, "fm": []bitrix24test.Multifield{
			{ID: 902, TypeID: "PHONE", ValueType: "MOBILE", Value: "+551"}, {ID: 903, TypeID: "PHONE", ValueType: "WORK", Value: "+552"}}})
		after, err := bitrix24.EditMultifields(h.t.Context(), h.conn(), "contacts", "11", func(m bitrix24.Multifields) bitrix24.Multifields {
			m[0].Value = "+559"
			return bitrix24.Multifields{m[0], {TypeID: bitrix24.Phone, ValueType: "HOME", Value: "+553"}}
		})
		want := bitrix24.Multifields{{ID: 902, TypeID: "PHONE", ValueType: "MOBILE", Value: "+559"}, {ID: 904, TypeID: "PHONE", ValueType: "HOME", Value: "+553"}}
		if diff := cmp.Diff(want, after); diff != "" || err != nil {
			h.t.Error(diff, err)
		}
	}},
	{name: "T10 multifields: the missing type is no trap", run: func(h *host) {
		update := func(fm map[string]any) {
			h.t.Helper()
			h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, ID: "11", Data: map[string]any{"fm": fm}})
		}
		update(map[string]any{"902": map[string]any{"typeId": "PHONE", "valueType": "WORK", "value": "+550"}, "n0": map[string]any{"typeId": "EMAIL", "valueType": "WORK", "value": "ana@example.org"}})
		want := bitrix24.Multifields{{ID: 902, TypeID: "PHONE", ValueType: "WORK", Value: "+550"}, {ID: 903, TypeID: "EMAIL", ValueType: "WORK", Value: "ana@example.org"}}
		if diff := cmp.Diff(want, contact(h, 11).Multifields); diff != "" {
			h.t.Error(diff)
		}
		update(map[string]any{"903": map[string]any{"value": ""}})
		if diff := cmp.Diff(want[:1], contact(h, 11).Multifields); diff != "" {
			h.t.Error("without its type it was not deleted:", diff)
		}
	}},
	{name: "T11 deletes", run: func(h *host) {
		for range 2 {
			h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpDelete, ID: "11"})
		}
		if h.count("contacts") != 0 {
			h.t.Error("it is still there")
		}
	}},
	{name: "T12 not found", run: func(h *host) {
		_, err := bitrix24.Get[bitrix24.Deal](h.t.Context(), h.conn(), 999999)
		if !failed(err, enlace.ErrNotFound, enlace.OutcomeRan) {
			h.t.Error(err)
		}
		if _, err := bitrix24.ListBindings(h.t.Context(), h.conn(), bitrix24.DealContacts, 999999); !failed(err, enlace.ErrNotFound, enlace.OutcomeRan) {
			h.t.Error("in the classic way, without a code:", err)
		}
	}},
	{name: "T13 argument errors", run: func(h *host) {
		for method, body := range map[string]map[string]any{"crm.item.list": {"filter": map[string]any{"id": 1}}, "crm.contact.update": {"id": 11, "fields": "oops"}} {
			err := h.conn().Do(h.t.Context(), enlace.Call{Method: "POST", Path: method, Body: body}, nil)
			if !failed(err, enlace.ErrInvalid, enlace.OutcomeRan) {
				h.t.Errorf("%s: %v", method, err)
			}
		}
		err := h.conn().Do(h.t.Context(), enlace.Call{Method: "POST", Path: "crm.item.list", Body: map[string]any{"entityTypeId": 3, "filter": map[string]any{"noSuch": 1}}}, nil)
		if e, ok := errors.AsType[*enlace.Error](err); !ok || e.Code != "INVALID_ARG_VALUE" || !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error(err)
		}
	}},
	{name: "T14 duplicates", run: func(h *host) {
		for number, want := range map[string][]string{"+5511999990000": {"11"}, "+5511999990001": nil} {
			if got, err := bitrix24.FindDuplicates(h.t.Context(), h.conn(), "contacts", bitrix24.Phone, number); err != nil || !slices.Equal(got, want) {
				h.t.Error(number, got, err)
			}
		}
	}},
	{name: "T15 batch with a failure", run: func(h *host) {
		results, err := h.pushBatch([]enlace.Mutation{
			{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "Eve"}},
			{Entity: "contacts", Op: enlace.OpUpdate, ID: "999999", Data: map[string]any{"name": "nobody"}},
			{Entity: "contacts", Op: enlace.OpUpdate, ID: "11", Data: map[string]any{"name": "Anna"}}})
		if err != nil || !results[0].Ack.Created || !errors.Is(results[1].Err, enlace.ErrNotFound) || results[2].Err != nil || contact(h, 11).Name != "Anna" {
			h.t.Errorf("%+v, %v", results, err)
		}
		if n := h.portal.Stats().Methods["batch"].Requests; n != 1 {
			h.t.Errorf("%d batches", n)
		}
	}},
	{name: "T16 no chains: a failure stops nothing, and a reference is only text", run: func(h *host) {
		results, err := h.pushBatch([]enlace.Mutation{
			{Entity: "deals", Op: enlace.OpUpdate, ID: "999999", Data: map[string]any{"title": "x"}},
			{Entity: "deals", Op: enlace.OpCreate, Data: map[string]any{"title": "$result[p00]"}}})
		if err != nil || results[0].Err == nil || results[1].Err != nil || h.get("deals", results[1].Ack.ID)["title"] != "$result[p00]" {
			h.t.Errorf("%+v, %v", results, err)
		}
	}},
	{name: "T17 batch answers in arrays", run: func(h *host) {
		w := &wire{base: h.portal.Transport()}
		h.config.Transport = w
		h.restart()
		if _, err := h.pushBatch(creates(3, false)); err != nil {
			h.t.Fatal(err)
		}
		if !strings.Contains(w.sent[0].body, `"cmd":{"p00":`) {
			h.t.Errorf("names that a portal could make a list of: %s", w.sent[0].body)
		}
		// A portal that makes a list of them all the same is not understood, and what ran is not known.
		h.answer(200, `{"result":{"result":[{"item":{"id":1}},{"item":{"id":2}}],"result_error":[],"result_total":[],"result_next":[],"result_time":[]}}`)
		results, err := h.pushBatch(creates(2, false))
		if err != nil || outcome(results[0].Err) != enlace.OutcomeUnknown {
			h.t.Errorf("%+v, %v", results, err)
		}
	}},
	{name: "T18 batch: scope and length", run: func(h *host) {
		if _, err := h.pushBatch(creates(51, false)); !failed(err, enlace.ErrInvalid, enlace.OutcomeNotRun) || h.portal.Stats().Requests != 0 {
			h.t.Error(err)
		}
		h.portal.Fault(bitrix24test.Fault{Method: "crm.item.add", Kind: bitrix24test.Refuse, Status: 403, Code: "insufficient_scope", Times: 1})
		results, err := h.pushBatch(creates(2, false))
		if err != nil || !failed(results[0].Err, enlace.ErrForbidden, enlace.OutcomeNotRun) || results[1].Err != nil {
			h.t.Errorf("%+v, %v", results, err)
		}
	}},
	{name: "T19 rate limit", limits: bitrix24test.CloudLimits(), run: func(h *host) {
		began := time.Now()
		for range 60 {
			if err := (bitrix24.Adapter{}).CheckHealth(h.t.Context(), h.conn()); err != nil {
				h.t.Fatal(err)
			}
		}
		if took := time.Since(began); h.portal.Stats().Refused != 0 || took < 4*time.Second || took > 10*time.Second {
			h.t.Errorf("%d refusals in %v", h.portal.Stats().Refused, took)
		}
		// Refused all the same, because somebody else uses the portal too: a write that did not run is sent again.
		h.portal.Fault(bitrix24test.Fault{Method: "crm.item.add", Kind: bitrix24test.RateLimited, Times: 1})
		if _, err := h.push(creates(1, false)[0]); err != nil {
			h.t.Error(err)
		}
	}},
	{name: "T20 operating limit of one method", run: func(h *host) {
		h.portal.Fault(bitrix24test.Fault{Method: "crm.item.list", Kind: bitrix24test.OperatingLimit, Times: -1})
		_, _, err := h.pull(enlace.PullRequest{}, 0)
		if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, enlace.ErrRateLimited) || !e.Partial {
			h.t.Error(err)
		}
		began := time.Now()
		if contact(h, 11).Name != "Ana" || time.Since(began) > time.Second {
			h.t.Error("another method waited")
		}
	}},
	{name: "T21 expired token, refresh, repeat", application: true, run: func(h *host) {
		h.portal.ExpireTokens()
		if contact(h, 11).Name != "Ana" {
			h.t.Error("no answer")
		}
		if s := h.portal.Stats(); s.Refreshes != 1 || s.Methods["crm.item.get"].Requests != 2 {
			h.t.Errorf("%+v", s)
		}
		if got := h.conn().Attribute("member_id"); got != "0123456789abcdef0123456789abcdef" {
			h.t.Error(got)
		}
	}},
	{name: "T22 refresh failures", application: true, run: func(h *host) {
		h.portal.ExpireTokens()
		h.portal.RevokeRefreshTokens()
		_, err := h.fetch("contacts", "11")
		in, _ := h.service.Get(h.t.Context(), h.ref)
		if !errors.Is(err, enlace.ErrAuth) || in.Status != enlace.StatusNeedsReauth {
			h.t.Errorf("%v, status %s", err, in.Status)
		}
	}},
	{name: "T23 authorization failures", run: func(h *host) {
		for method, kind := range map[string]error{"app.info": enlace.ErrForbidden, "no.such.method": enlace.ErrUnsupported} {
			err := h.conn().Do(h.t.Context(), enlace.Call{Method: "POST", Path: method, Body: map[string]any{}}, nil)
			if !failed(err, kind, enlace.OutcomeNotRun) {
				h.t.Errorf("%s: %v", method, err)
			}
		}
		if _, err := bitrix24.GetAppInfo(h.t.Context(), h.conn()); !errors.Is(err, enlace.ErrForbidden) {
			h.t.Error(err)
		}
		wrong := strings.Replace(h.portal.WebhookURL(), secretOf(h.portal), "WRONG", 1)
		if _, err := h.service.Connect(h.t.Context(), h.ref, *webhook(wrong)); err != nil {
			h.t.Fatal(err)
		}
		if err := (bitrix24.Adapter{}).CheckHealth(h.t.Context(), h.conn()); !failed(err, enlace.ErrAuth, enlace.OutcomeNotRun) {
			h.t.Error(err)
		}
	}},
	{name: "T24 an installation and later events", application: true, run: func(h *host) {
		a, secret := bitrix24.Adapter{}, []enlace.Secret{enlace.NewSecret(webhookToken)}
		install := eventForm("ONAPPINSTALL", "data[VERSION]", "1", "auth[access_token]", "AT1", "auth[refresh_token]", "RT1", "auth[expires_in]", "3600", "auth[scope]", "crm", "auth[status]", "L")
		in, err := bitrix24.ParseInstall(nil, []byte(install.Encode()))
		if err != nil || in.AccessToken.Reveal() != "AT1" || in.RefreshToken.Reveal() != "RT1" || in.ApplicationToken.Reveal() != webhookToken || in.MemberID != h.portal.MemberID() || in.Portal != "acme.bitrix24.com" {
			h.t.Errorf("%+v, %v", in, err)
		}
		update := delivery(eventForm("ONCRMCONTACTUPDATE", "event_handler_id", "196", "data[FIELDS][ID]", "11", "auth[access_token]", "AT9"))
		events, err := a.ParseWebhook(h.t.Context(), update)
		if err != nil || a.Verifier().Verify(update, secret) != nil || events[0].Record.Entity != "contacts" || events[0].Record.ID != "11" || !events[0].At.Equal(time.Unix(1780000500, 0)) {
			h.t.Errorf("%+v, %v", events, err)
		}
		forged := delivery(eventForm("ONCRMCONTACTDELETE", "event_handler_id", "975", "data[FIELDS][ID]", "11", "auth[application_token]", "WRONG"))
		if err := a.Verifier().Verify(forged, secret); !errors.Is(err, enlace.ErrSignature) {
			h.t.Error(err)
		}
	}},
	{name: "T25 offline events", application: true, run: func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		if err := bitrix24.SubscribeOffline(ctx, c, "ONCRMCONTACTADD", "ONCRMDEALUPDATE"); err != nil {
			h.t.Fatal(err)
		}
		h.portal.Put(bitrix24test.Contact, map[string]any{"id": 15})
		h.portal.Put(bitrix24test.Deal, map[string]any{"id": 31})
		time.Sleep(time.Minute)
		h.portal.Touch(bitrix24test.Deal, 31)
		set, err := bitrix24.ReserveOffline(ctx, c, 2)
		if err != nil || len(set.Events) != 2 || set.Events[0].Entity != "contacts" || set.Events[0].RecordID != "15" || set.Events[1].RecordID != "31" {
			h.t.Fatalf("%+v, %v", set, err)
		}
		if err := bitrix24.ClearOffline(ctx, c, set.ProcessID, set.Events[0].ID); err != nil {
			h.t.Fatal(err)
		}
		rest, err := bitrix24.ResumeOffline(ctx, c, set.ProcessID)
		if err != nil || len(rest.Events) != 1 || rest.Events[0].ID != set.Events[1].ID {
			h.t.Errorf("%+v, %v", rest, err)
		}
	}},
	{name: "T26 bind and unbind", application: true, run: func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		if err := bitrix24.Subscribe(ctx, c, target, "ONCRMCONTACTUPDATE"); err != nil {
			h.t.Error(err)
		}
		err := bitrix24.Subscribe(ctx, c, target, "ONNOTHING")
		if e, ok := errors.AsType[*enlace.Error](err); !ok || e.Code != "ERROR_EVENT_NOT_FOUND" || e.Outcome == enlace.OutcomeUnknown {
			h.t.Error(err)
		}
		if err := bitrix24.Unsubscribe(ctx, c, target, "ONCRMCONTACTUPDATE"); err != nil {
			h.t.Error(err)
		}
		if left, err := bitrix24.ListSubscriptions(ctx, c); err != nil || len(left) != 0 {
			h.t.Error(left, err)
		}
	}},
	{name: "T27 import with a bad item", run: func(h *host) {
		results, err := bitrix24.Import(h.t.Context(), h.conn(), "deals", map[string]any{"title": "Imp 1", "createdTime": "2026-01-10T12:00:00+02:00"}, map[string]any{"title": "Imp 2", "currencyId": "???"})
		if err != nil || !results[0].Ack.Created || !failed(results[1].Err, enlace.ErrInvalid, enlace.OutcomeRan) {
			h.t.Fatalf("%+v, %v", results, err)
		}
		if got := h.get("deals", results[0].Ack.ID); got["createdTime"] != "2026-01-10T12:00:00+02:00" {
			h.t.Error(got)
		}
	}},
	{name: "T28 contacts of a deal", run: func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		h.portal.Put(bitrix24test.Deal, map[string]any{"id": 31})
		if err := bitrix24.SetBindings(ctx, c, bitrix24.DealContacts, 31, []bitrix24.Binding{{ID: 15}, {ID: 16, Primary: true}}); err != nil {
			h.t.Fatal(err)
		}
		list, err := bitrix24.ListBindings(ctx, c, bitrix24.DealContacts, 31)
		if diff := cmp.Diff([]bitrix24.Binding{{ID: 15, Sort: 10}, {ID: 16, Sort: 20, Primary: true}}, list); diff != "" || err != nil {
			h.t.Error(diff, err)
		}
		if added, err := bitrix24.Bind(ctx, c, bitrix24.DealContacts, 31, bitrix24.Binding{ID: 16}); err != nil || added {
			h.t.Error(added, err)
		}
	}},
	{name: "T29 renamed portal", run: func(h *host) {
		h.portal.Move("https://" + renamed)
		ack := h.mustPush(creates(1, false)[0])
		in, err := h.service.Get(h.t.Context(), h.ref)
		if !ack.Created || err != nil || in.BaseURL != "https://"+renamed || h.count("contacts") != 2 {
			h.t.Errorf("%+v, %+v, %v", ack, in, err)
		}
	}},
	{name: "T30 an answer that is not JSON", run: func(h *host) {
		h.portal.Fault(bitrix24test.Fault{Kind: bitrix24test.HTML502, Times: 1})
		if contact(h, 11).Name != "Ana" || h.portal.Stats().Methods["crm.item.get"].Requests != 2 {
			h.t.Errorf("a read is not repeated: %+v", h.portal.Stats())
		}
		h.portal.Fault(bitrix24test.Fault{Method: "crm.item.add", Kind: bitrix24test.HTML502, Times: -1})
		if _, err := h.push(creates(1, false)[0]); !failed(err, enlace.ErrUnavailable, enlace.OutcomeUnknown) || h.portal.Stats().Methods["crm.item.add"].Requests != 1 {
			h.t.Errorf("%v: %+v", err, h.portal.Stats())
		}
	}},
}

// TestEveryCaseIsThere counts the sheet's thirty.
func TestEveryCaseIsThere(t *testing.T) {
	var names string
	for _, c := range cases {
		names += c.name + "\n"
	}
	for n := 1; n <= 30; n++ {
		if number := fmt.Sprintf("T%02d", n); strings.Count(names, number) != 1 {
			t.Errorf("%s is not there once", number)
		}
	}
}
