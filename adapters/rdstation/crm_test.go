package rdstation_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

// TestCRMCategories goes through the account's own lists, and teams.
func TestCRMCategories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{Users: []rdstationtest.User{{Name: "Caio", Email: "caio@example.com", Team: "Vendas"}}})
		h := crmHost(t, account)
		c, crm, ctx := h.conn(), rdstation.CRM{}, t.Context()
		for name, resource := range map[string]rdstation.Resource[rdstation.Category]{
			"campaign": crm.Campaigns(), "source": crm.Sources(), "lost reason": crm.LostReasons(), "segment": crm.Segments(),
		} {
			made := must[rdstation.Category](t)(resource.Create(ctx, c, rdstation.Category{Name: name}))
			must[rdstation.Category](t)(resource.Update(ctx, c, made.ID, rdstation.Category{Name: name + "!"}))
			if read, err := resource.Get(ctx, c, made.ID); err != nil || read.Name != name+"!" || read.CreatedAt == "" {
				t.Errorf("%s: %+v, %v", name, read, err)
			}
		}
		if teams, err := crm.Teams().List(ctx, c, rdstation.Query{Sort: "name"}); err != nil || len(teams.Items) != 1 || teams.Items[0].ID == "" || len(teams.Items[0].UserIDs) != 1 {
			t.Errorf("%+v, %v", teams, err)
		}
	})
}

// TestCRMRecords goes through the typed resources of version 2.
func TestCRMRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		h := crmHost(t, account)
		c, crm, ctx := h.conn(), rdstation.CRM{}, t.Context()
		org := must[rdstation.Organization](t)(crm.Organizations().Create(ctx, c, rdstation.Organization{Name: "Acme"}))
		contact := must[rdstation.CRMContact](t)(crm.Contacts().Create(ctx, c, rdstation.CRMContact{Name: "Bia", OrganizationID: org.ID,
			Emails: []rdstation.EmailAddress{{Email: email}}, Phones: []rdstation.PhoneNumber{{Phone: "+5581", Type: "mobile"}}}))
		deal := must[rdstation.Deal](t)(crm.Deals().Create(ctx, c, rdstation.Deal{Name: "Forno 10 bandejas", ContactIDs: []string{contact.ID}}))
		if deal.ID == "" || deal.Status != "ongoing" || deal.StageID == "" || contact.OrganizationID != org.ID {
			t.Errorf("%+v, %+v", deal, contact)
		}
		if found, err := crm.ContactsByEmail(ctx, c, email); err != nil || len(found) != 1 || found[0].ID != contact.ID {
			t.Errorf("%+v, %v", found, err)
		}
		if found, err := crm.ContactsByEmail(ctx, c, `nobody" or name:~"a`); err != nil || len(found) != 0 {
			t.Errorf("a filter was smuggled in: %+v, %v", found, err)
		}
		product := must[rdstation.Product](t)(crm.Products().Create(ctx, c, rdstation.Product{Name: "Forno", Price: 18900}))
		line := must[rdstation.DealProduct](t)(crm.DealProducts(deal.ID).Create(ctx, c, rdstation.DealProduct{ProductID: product.ID, Price: 18900, Quantity: 1}))
		if _, err := crm.DealProducts(deal.ID).Update(ctx, c, line.ID, map[string]any{"quantity": 2}); err != nil {
			t.Error(err)
		}
		if won, err := crm.Deals().Update(ctx, c, deal.ID, map[string]any{"status": "won"}); err != nil || won.Status != "won" || won.TotalPrice != 37800 {
			t.Errorf("%+v, %v", won, err)
		}
		if err := crm.DealProducts(deal.ID).Delete(ctx, c, line.ID); err != nil {
			t.Error(err)
		}
		if _, err := crm.Notes(deal.ID).Create(ctx, c, rdstation.Note{Description: "called"}); err != nil {
			t.Error(err)
		}
		if notes, err := crm.Notes(deal.ID).List(ctx, c, rdstation.Query{Sort: "created_at"}); err != nil || len(notes.Items) != 1 {
			t.Errorf("%+v, %v", notes, err)
		}
		task := must[rdstation.Task](t)(crm.Tasks().Create(ctx, c, rdstation.Task{Name: "Ligar", Type: "call", DealID: deal.ID}))
		if got, err := crm.Tasks().Get(ctx, c, task.ID); err != nil || got.Status != "open" {
			t.Errorf("%+v, %v", got, err)
		}
		pipeline := must[rdstation.Pipeline](t)(crm.Pipelines().Create(ctx, c, rdstation.Pipeline{Name: "Second"}))
		stages := must[rdstation.CRMList[rdstation.Stage]](t)(crm.Stages(pipeline.ID).List(ctx, c, rdstation.Query{Sort: "order"}))
		if len(stages.Items) != 5 {
			t.Errorf("%+v", stages)
		}
		users := must[rdstation.CRMList[rdstation.User]](t)(crm.Users().List(ctx, c, rdstation.Query{Size: 1}))
		field := must[rdstation.CustomField](t)(crm.CustomFields().Create(ctx, c, rdstation.CustomField{Name: "Filial", Entity: "deal"}))
		if err := crm.CustomFields().Delete(ctx, c, field.ID); err != nil || len(users.Items) != 1 {
			t.Errorf("%+v, %v", users, err)
		}
		for name, test := range map[string]struct {
			err  error
			kind error
		}{
			"T55 deal":    {second(crm.Deals().Create(ctx, c, rdstation.Deal{Name: "x", Status: "won"})), enlace.ErrInvalid},
			"T55 task":    {second(crm.Tasks().Create(ctx, c, rdstation.Task{Name: "x", Type: "call", Status: "completed"})), enlace.ErrInvalid},
			"none":        {second(crm.Deals().Get(ctx, c, "0123456789abcdef01234567")), enlace.ErrNotFound},
			"none to put": {second(crm.Deals().Update(ctx, c, "0123456789abcdef01234567", rdstation.Deal{})), enlace.ErrNotFound},
			"path":        {second(crm.Deals().Get(ctx, c, "../contacts")), enlace.ErrInvalid},
			"parent":      {second(crm.Notes("..").List(ctx, c, rdstation.Query{})), enlace.ErrInvalid},
			"put path":    {second(crm.Deals().Update(ctx, c, "", nil)), enlace.ErrInvalid},
			"delete path": {crm.CustomFields().Delete(ctx, c, "a/b"), enlace.ErrInvalid},
			"one webhook": {second(crm.Webhooks().Create(ctx, c, rdstation.CRMWebhook{Name: "x", EventName: "crm_deal_created", Method: "POST", URL: "https://x.example/", AuthHeader: "X"})), enlace.ErrInvalid},
		} {
			if !errors.Is(h.note(test.err), test.kind) {
				t.Errorf("%s: %v", name, test.err)
			}
		}
		h.showsNoSecret()
	})
}

func second[T any](_ T, err error) error { return err }

// TestCRMPages goes through a list by its queries (T47, T48).
func TestCRMPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		for i := range 45 {
			account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": fmt.Sprintf("Deal %02d", i)})
		}
		h := crmHost(t, account)
		q := &rdstation.Query{Filter: "name:~" + rdstation.QuoteRDQL("deal"), Sort: "name", Desc: true, Size: 20}
		var names []string
		for q != nil {
			page := must[rdstation.CRMList[rdstation.Deal]](t)(rdstation.CRM{}.Deals().List(t.Context(), h.conn(), *q))
			for _, d := range page.Items {
				names = append(names, d.Name)
			}
			q = page.Next
		}
		if len(names) != 45 || names[0] != "Deal 44" || names[44] != "Deal 00" {
			t.Errorf("%q", names)
		}
		err := h.conn().Do(t.Context(), enlace.Call{Path: "../../api/v2/deals"}, nil)
		if !errors.Is(err, enlace.ErrUnsupported) {
			t.Errorf("the provider's own link: %v", err)
		}
	})
}

func TestCRMPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		h := crmHost(t, account)
		c, ctx := h.conn(), t.Context()
		push := func(op enlace.Operation, entity, id string, data any) (enlace.Ack, error) {
			return rdstation.CRM{}.Push(ctx, c, enlace.Mutation{Entity: entity, Op: op, ID: id, Data: data})
		}
		for entity, data := range map[string]map[string]string{"contacts": {"name": "Bia"}, "organizations": {"name": "Acme"}, "deals": {"name": "Oven"},
			"tasks": {"name": "Call", "type": "call"}, "products": {"name": "Oven"}, "pipelines": {"name": "P"}, "campaigns": {"name": "C"}, "sources": {"name": "S"},
			"lost_reasons": {"name": "L"}, "segments": {"name": "G"}, "custom_fields": {"name": "F", "entity": "deal"}} {
			ack, err := push(enlace.OpCreate, entity, "", data)
			if err != nil || ack.ID == "" || !ack.Created {
				t.Fatalf("%s: %+v, %v", entity, ack, err)
			}
			if again, err := push(enlace.OpUpdate, entity, ack.ID, map[string]string{"name": "Other"}); err != nil || again.ID != ack.ID || again.Created {
				t.Errorf("%s: %+v, %v", entity, again, err)
			}
			_, err = push(enlace.OpDelete, entity, ack.ID, nil)
			if entity == "custom_fields" && err != nil || entity != "custom_fields" && !errors.Is(err, enlace.ErrUnsupported) {
				t.Errorf("delete %s: %v", entity, err)
			}
			if entity != "pipelines" {
				continue
			}
			stage, err := push(enlace.OpCreate, "stages", ack.ID, map[string]string{"name": "New"})
			if err != nil || !strings.HasPrefix(stage.ID, ack.ID+"/") {
				t.Errorf("stage: %+v, %v", stage, err)
			}
			if _, err := push(enlace.OpUpdate, "stages", stage.ID, map[string]string{"name": "Old"}); err != nil {
				t.Error(err)
			}
		}
		for _, bad := range []struct{ entity, id string }{{"deals", ""}, {"deals", "../x"}, {"stages", "x"}, {"stages", "x/../y"}} {
			if _, err := push(enlace.OpUpdate, bad.entity, bad.id, nil); !errors.Is(err, enlace.ErrInvalid) {
				t.Errorf("%v: %v", bad, err)
			}
		}
		if _, err := push(enlace.OpCreate, "stages", "", nil); !errors.Is(err, enlace.ErrInvalid) {
			t.Error(err)
		}
		// A create whose answer is lost is not sent again.
		for _, kind := range []rdstationtest.FaultKind{rdstationtest.LostAnswer, rdstationtest.HTML502, rdstationtest.TruncatedJSON} {
			before := account.Stats().Routes["POST /crm/v2/deals"].Requests
			account.Fault(rdstationtest.Fault{Route: "POST /crm/v2/deals", Kind: kind})
			_, err := push(enlace.OpCreate, "deals", "", map[string]string{"name": "Once"})
			e, ok := errors.AsType[*enlace.Error](err)
			if n := account.Stats().Routes["POST /crm/v2/deals"].Requests - before; !ok || e.Outcome != enlace.OutcomeUnknown || n != 1 {
				t.Errorf("%v: %d requests, %v", kind, n, err)
			}
		}
		h.answer(201, nil, `{"data":{}}`)
		c = h.conn()
		if _, err := push(enlace.OpCreate, "deals", "", nil); !errors.Is(err, enlace.ErrProtocol) {
			t.Errorf("an answer without an id: %v", err)
		}
		if _, err := (rdstation.CRM{}).Deals().Get(ctx, c, "1"); err != nil {
			t.Errorf("%v", err)
		}
		h.answer(200, nil, `{}`)
		if _, err := (rdstation.CRM{}).Deals().Get(ctx, h.conn(), "1"); !errors.Is(err, enlace.ErrProtocol) {
			t.Errorf("%v", err)
		}
		if _, err := (rdstation.CRM{}).Fetch(ctx, h.conn(), "nothing", nil); !errors.Is(err, enlace.ErrUnsupported) {
			t.Errorf("%v", err)
		}
	})
}

// TestV1Push goes through version 1 (T45, T46).
func TestV1Push(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		h := v1Host(t, account)
		c, ctx := h.conn(), t.Context()
		push := func(op enlace.Operation, entity, id string, data any) (enlace.Ack, error) {
			ack, err := rdstation.CRMv1{}.Push(ctx, c, enlace.Mutation{Entity: entity, Op: op, ID: id, Data: data})
			return ack, h.note(err)
		}
		ids := map[string]string{}
		for _, test := range []struct {
			entity string
			data   map[string]any
		}{
			{"organizations", map[string]any{"name": "Acme"}}, {"contacts", map[string]any{"name": "Bia"}}, {"products", map[string]any{"name": "Oven", "base_price": 10}},
			{"campaigns", map[string]any{"name": "C"}}, {"sources", map[string]any{"name": "S"}}, {"lost_reasons", map[string]any{"name": "L"}},
			{"deals", map[string]any{"name": "Forno", "contacts": []any{map[string]any{"name": "Caio"}}}},
		} {
			ack, err := push(enlace.OpCreate, test.entity, "", test.data)
			if err != nil || ack.ID == "" || !ack.Created {
				t.Fatalf("%s: %+v, %v", test.entity, ack, err)
			}
			ids[test.entity] = ack.ID
			if _, err := push(enlace.OpUpdate, test.entity, ack.ID, map[string]any{"name": "Other " + test.entity}); err != nil {
				t.Errorf("%s: %v", test.entity, err)
			}
		}
		if _, err := push(enlace.OpCreate, "activities", "", map[string]string{"deal_id": ids["deals"], "user_id": account.CRMUsers()[0].ID, "text": "Ligou"}); err != nil {
			t.Error(err)
		}
		_, err := push(enlace.OpCreate, "tasks", "", map[string]any{"deal_id": ids["deals"], "user_ids": []string{account.CRMUsers()[0].ID}, "type": "call", "date": "2000-01-10", "hour": "14:30"})
		if e, ok := errors.AsType[*enlace.Error](err); !ok || e.Kind != enlace.ErrInvalid || !strings.HasPrefix(e.Message, "subject: ") { // T45
			t.Errorf("%v", err)
		}
		var pipelines []struct {
			Stages []struct{ ID string } `json:"deal_stages"`
		}
		if err := c.Do(ctx, enlace.Call{Path: "deal_pipelines"}, &pipelines); err != nil {
			t.Fatal(err)
		}
		stage := pipelines[0].Stages[3].ID
		if _, err := push(enlace.OpUpdate, "deals", ids["deals"], map[string]any{"rating": 3, "deal_stage_id": stage}); err != nil { // T46
			t.Fatal(err)
		}
		records := must[[]enlace.Record](t)(rdstation.CRMv1{}.Fetch(ctx, c, "deals", []string{ids["deals"]}))
		if !strings.Contains(string(records[0].Data), stage) {
			t.Errorf("the deal did not move: %s", records[0].Data)
		}
		for _, bad := range []struct {
			op   enlace.Operation
			id   string
			data any
			kind error
		}{{enlace.OpUpdate, "../x", nil, enlace.ErrInvalid}, {enlace.OpDelete, "x", nil, enlace.ErrUnsupported}, {enlace.OpCreate, "", func() {}, enlace.ErrInvalid}} {
			if _, err := push(bad.op, "deals", bad.id, bad.data); !errors.Is(err, bad.kind) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		before := account.Stats().Routes["POST /api/v1/deals"].Requests
		account.Fault(rdstationtest.Fault{Route: "POST /api/v1/deals", Kind: rdstationtest.HTML500})
		_, err = push(enlace.OpCreate, "deals", "", map[string]string{"name": "Once"})
		e, ok := errors.AsType[*enlace.Error](err)
		if n := account.Stats().Routes["POST /api/v1/deals"].Requests - before; !ok || e.Outcome != enlace.OutcomeUnknown || n != 1 {
			t.Errorf("%d requests, %v", n, err)
		}
		h.showsNoSecret()
	})
}

// TestV1BadToken is T44: only a person can help.
func TestV1BadToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, rdstationtest.New(rdstationtest.Options{})).connect(rdstation.CRMv1Name, nil, key(rdstation.SchemeToken, "wr0ng-t0ken"))
		if err := h.note(rdstation.CRMv1{}.CheckHealth(t.Context(), h.conn())); !errors.Is(err, enlace.ErrAuth) {
			t.Errorf("%v", err)
		}
		if in := must[enlace.Integration](t)(h.service.Get(t.Context(), h.ref)); in.Status != enlace.StatusNeedsReauth {
			t.Errorf("status %s", in.Status)
		}
		h.showsNoSecret("wr0ng-t0ken")
	})
}
