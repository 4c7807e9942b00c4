package bitrix24_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/google/go-cmp/cmp"
)

func TestDescribeFields(t *testing.T) {
	in(t, bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 128, ID: 3}},
		UserFields: []bitrix24test.UserField{{EntityTypeID: bitrix24test.Contact, Name: "UF_CRM_1", Type: "enumeration", Label: "Size", Options: []string{"S", "L"}}}}, nil, func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		list, err := bitrix24.DescribeFields(ctx, c, "contacts")
		if err != nil {
			h.t.Fatal(err)
		}
		find := func(name string) bitrix24.FieldInfo {
			at := slices.IndexFunc(list, func(f bitrix24.FieldInfo) bool { return f.Name == name })
			if at < 0 {
				h.t.Fatalf("no %s among %d fields", name, len(list))
			}
			return list[at]
		}
		if id := find("id"); list[0].Name != "id" || id.Type != "integer" || !id.ReadOnly || id.Classic != "ID" || id.Title == "" || id.UserField {
			h.t.Errorf("%+v", id)
		}
		want := bitrix24.FieldInfo{Name: "UF_CRM_1", Classic: "UF_CRM_1", Type: "enumeration", Title: "Size", UserField: true,
			Options: []bitrix24.Option{{ID: 41, Value: "S"}, {ID: 42, Value: "L"}}}
		if diff := cmp.Diff(want, find("UF_CRM_1")); diff != "" {
			h.t.Error(diff)
		}
		if source := find("sourceId"); source.StatusType != "SOURCE" || !find("fm").Multiple {
			h.t.Errorf("%+v", source)
		}
		if list, err := bitrix24.DescribeFields(ctx, c, "dynamic_128"); err != nil || len(list) == 0 {
			h.t.Error(err)
		}
		for entity, kind := range map[string]error{"notes": enlace.ErrUnsupported, "dynamic_999": enlace.ErrNotFound} {
			if _, err := bitrix24.DescribeFields(ctx, c, entity); !errors.Is(err, kind) {
				h.t.Error(entity, err)
			}
		}
		for _, body := range []string{`{"result":[]}`, `{"result":{"fields":[]}}`, `{"result":{"fields":{"id":7}}}`, `{"result":{"fields":{"id":{"items":7}}}}`} {
			h.answer(200, body)
			if _, err := bitrix24.DescribeFields(ctx, h.conn(), "contacts"); !errors.Is(err, enlace.ErrProtocol) {
				h.t.Error(body, err)
			}
		}
	})
}

// TestFieldsInCommonWords asks as a mapping page does, that knows no provider.
func TestFieldsInCommonWords(t *testing.T) {
	in(t, bitrix24test.Options{UserFields: []bitrix24test.UserField{
		{EntityTypeID: bitrix24test.Deal, Name: "UF_CRM_1", Type: "enumeration", Label: "Size", Options: []string{"S", "L"}, Mandatory: true},
		{EntityTypeID: bitrix24test.Deal, Name: "UF_CRM_2", Type: "string", Multiple: true},
	}}, nil, func(h *host) {
		h.portal.Fault(bitrix24test.Fault{Method: "crm.status.list", Kind: bitrix24test.Refuse, Status: 400, Code: "ACCESS_DENIED", Times: 1})
		list, err := h.service.DescribeFields(h.t.Context(), h.ref, "deals")
		if err != nil {
			h.t.Fatal(err)
		}
		got := map[string]enlace.RecordField{}
		withChoices := 0
		for _, f := range list {
			if f.Label == "" {
				h.t.Errorf("%s has no label", f.Path)
			}
			if len(f.Choices) > 0 {
				withChoices++
			}
			f.Label = ""
			got[f.Path] = f
		}
		for _, want := range []enlace.RecordField{
			{Path: "id", Type: "integer", ReadOnly: true}, {Path: "title", Type: "text"}, {Path: "opportunity", Type: "decimal"},
			{Path: "begindate", Type: "date"}, {Path: "createdTime", Type: "time", ReadOnly: true}, {Path: "contactIds", Type: "id", List: true},
			{Path: "UF_CRM_1", Type: "id", Required: true, Choices: []enlace.Choice{{Value: "41", Label: "S"}, {Value: "42", Label: "L"}}},
			{Path: "UF_CRM_2", Type: "text", List: true},
		} {
			if diff := cmp.Diff(want, got[want.Path]); diff != "" {
				h.t.Error(diff)
			}
		}
		if n := h.portal.Stats().Requests; n != 2 || withChoices < 2 {
			h.t.Errorf("%d requests, %d fields with choices", n, withChoices)
		}
		h.portal.Fault(bitrix24test.Fault{Method: "crm.status.list", Kind: bitrix24test.Refuse, Status: 401, Code: "INVALID_CREDENTIALS"})
		if _, err := h.service.DescribeFields(h.t.Context(), h.ref, "deals"); !errors.Is(err, enlace.ErrAuth) {
			h.t.Error(err)
		}
	})
}

func TestUserFields(t *testing.T) {
	var many []bitrix24test.UserField
	for i := range 70 {
		many = append(many, bitrix24test.UserField{EntityTypeID: bitrix24test.Deal, Name: "UF_CRM_" + string(rune('A'+i/26)) + string(rune('A'+i%26)), Type: "string"})
	}
	in(t, bitrix24test.Options{UserFields: many}, nil, func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		list, err := bitrix24.ListUserFields(ctx, c, "deals", "")
		if err != nil || len(list) != 70 || list[0].Name != "UF_CRM_AA" || list[0].Type != "string" || list[0].ID == 0 || list[69].Name != "UF_CRM_CR" {
			h.t.Errorf("%d fields, %+v: %v", len(list), list, err)
		}
		id, err := bitrix24.AddUserField(ctx, c, "contacts", bitrix24.NewUserField{Name: "SIZE", Type: "enumeration", Label: "Size", Options: []bitrix24.Option{{Value: "S"}, {Value: "L"}}})
		if err != nil || id == 0 {
			h.t.Fatal(id, err)
		}
		list, err = bitrix24.ListUserFields(ctx, c, "contacts", "en")
		if err != nil || len(list) != 1 || list[0].Name != "UF_CRM_SIZE" {
			h.t.Errorf("%+v: %v", list, err)
		}
		for _, entity := range []string{"dynamic_128", "notes"} {
			if _, err := bitrix24.ListUserFields(ctx, c, entity, ""); !errors.Is(err, enlace.ErrUnsupported) {
				h.t.Error(err)
			}
			if _, err := bitrix24.AddUserField(ctx, c, entity, bitrix24.NewUserField{}); !errors.Is(err, enlace.ErrUnsupported) {
				h.t.Error(err)
			}
		}
		// A list that begins again and again does not go on for ever.
		h.answer(200, `{"result":[{"ID":"1"}],"next":50}`)
		if _, err := bitrix24.ListUserFields(ctx, h.conn(), "contacts", ""); !errors.Is(err, enlace.ErrCursorStalled) {
			h.t.Error(err)
		}
	})
}

func TestStagesAndFunnels(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		funnels, err := bitrix24.ListFunnels(ctx, c, "deals")
		if err != nil || len(funnels) != 2 || funnels[0].ID != 0 || funnels[0].IsDefault != "Y" || funnels[1].ID != 9 {
			h.t.Fatalf("%+v: %v", funnels, err)
		}
		general, err := bitrix24.ListStages(ctx, c, "deals", 0)
		if err != nil || len(general) == 0 || general[0].ID != "NEW" || general[0].Name == "" {
			h.t.Errorf("%+v: %v", general, err)
		}
		other, err := bitrix24.ListStages(ctx, c, "deals", 9)
		if err != nil || len(other) == 0 || other[0].ID != "C9:NEW" {
			h.t.Errorf("%+v: %v", other, err)
		}
		leads, err := bitrix24.ListStages(ctx, c, "leads", 0)
		if err != nil || !slices.ContainsFunc(leads, func(s bitrix24.Status) bool { return s.Semantics == "S" }) {
			h.t.Errorf("%+v: %v", leads, err)
		}
		if _, err := bitrix24.ListStages(ctx, c, "contacts", 0); !errors.Is(err, enlace.ErrUnsupported) {
			h.t.Error(err)
		}
		if _, err := bitrix24.ListFunnels(ctx, c, "notes"); !errors.Is(err, enlace.ErrUnsupported) {
			h.t.Error(err)
		}
		if yes, err := bitrix24.HasLeads(ctx, c); err != nil || !yes {
			h.t.Error(yes, err)
		}
		if yes, err := bitrix24.HasFeature(ctx, c, "rest_offline_extended"); err != nil || !yes {
			h.t.Error(yes, err)
		}
		if _, err := bitrix24.HasFeature(ctx, c, ""); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error(err)
		}
		if _, err := bitrix24.GetAppInfo(ctx, c); !errors.Is(err, enlace.ErrForbidden) {
			h.t.Error("app.info by a webhook:", err)
		}
	})
	in(t, bitrix24test.Options{Quirks: bitrix24test.Quirks{SimpleCRM: true}}, nil, func(h *host) {
		if yes, err := bitrix24.HasLeads(h.t.Context(), h.conn()); err != nil || yes {
			h.t.Error(yes, err)
		}
	})
}

// TestBindings is T28, and what is said about bindings in 5.9.
func TestBindings(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		h.portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 20})
		h.portal.Put(bitrix24test.Deal, map[string]any{"id": 31, "title": "x"})
		h.portal.Put(bitrix24test.Company, map[string]any{"title": "x"})
		ctx, c := h.t.Context(), h.conn()
		err := bitrix24.SetBindings(ctx, c, bitrix24.DealContacts, 31, []bitrix24.Binding{{ID: 15}, {ID: 16, Primary: true}})
		if err != nil {
			h.t.Fatal(err)
		}
		list, err := bitrix24.ListBindings(ctx, c, bitrix24.DealContacts, 31)
		if diff := cmp.Diff([]bitrix24.Binding{{ID: 15, Sort: 10}, {ID: 16, Sort: 20, Primary: true}}, list); diff != "" || err != nil {
			h.t.Error(diff, err)
		}
		for want, id := range map[bool]bitrix24.ID{false: 16, true: 17} {
			if added, err := bitrix24.Bind(ctx, c, bitrix24.DealContacts, 31, bitrix24.Binding{ID: id, Sort: 5}); err != nil || added != want {
				h.t.Error(id, added, err)
			}
		}
		if removed, err := bitrix24.Unbind(ctx, c, bitrix24.DealContacts, 31, 16); err != nil || !removed {
			h.t.Error(removed, err)
		}
		if removed, err := bitrix24.Unbind(ctx, c, bitrix24.DealContacts, 31, 16); err != nil || removed {
			h.t.Error(removed, err)
		}
		list, err = bitrix24.ListBindings(ctx, c, bitrix24.DealContacts, 31)
		if err != nil || len(list) != 2 || !slices.ContainsFunc(list, func(b bitrix24.Binding) bool { return b.Primary }) {
			h.t.Errorf("%+v: %v", list, err)
		}
		if err := bitrix24.SetBindings(ctx, c, bitrix24.DealContacts, 31, nil); err != nil {
			h.t.Error(err)
		}
		if list, err = bitrix24.ListBindings(ctx, c, bitrix24.DealContacts, 31); err != nil || len(list) != 0 {
			h.t.Errorf("%+v: %v", list, err)
		}
		if added, err := bitrix24.Bind(ctx, c, bitrix24.ContactCompanies, 3, bitrix24.Binding{ID: 1, Primary: true}); err != nil || !added {
			h.t.Error(added, err)
		}
		if list, err := bitrix24.ListBindings(ctx, c, bitrix24.CompanyContacts, 1); err != nil || len(list) != 1 || list[0].ID != 3 {
			h.t.Errorf("%+v: %v", list, err)
		}
		if _, err := bitrix24.ListBindings(ctx, c, bitrix24.LeadContacts, 999); !errors.Is(err, enlace.ErrNotFound) {
			h.t.Error(err)
		}
		for _, body := range []string{`{"result":[{"CONTACT_ID":"x"}]}`, `{"result":7}`} {
			h.answer(200, body)
			if _, err := bitrix24.ListBindings(ctx, h.conn(), bitrix24.DealContacts, 1); !errors.Is(err, enlace.ErrProtocol) {
				h.t.Error(body, err)
			}
		}
	})
}

// TestImport is T27.
func TestImport(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		results, err := bitrix24.Import(ctx, c, "deals", map[string]any{"title": "Imp 1"}, map[string]any{"title": "Imp 2", "currencyId": "???"}, bitrix24.Deal{Title: "Imp 3"})
		if err != nil || len(results) != 3 || results[0].Ack.ID == "" || !results[2].Ack.Created {
			h.t.Fatalf("%+v: %v", results, err)
		}
		if e, ok := errors.AsType[*enlace.Error](results[1].Err); !ok || !errors.Is(e, enlace.ErrInvalid) || e.Outcome != enlace.OutcomeRan || e.Code != "CRM_FIELD_ERROR_VALUE_NOT_VALID" {
			h.t.Error(results[1].Err)
		}
		if _, err := bitrix24.Import(ctx, c, "deals"); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error(err)
		}
		if _, err := bitrix24.Import(ctx, c, "deals", make([]any, 21)...); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error(err)
		}
		if _, err := bitrix24.Import(ctx, c, "notes", 1); !errors.Is(err, enlace.ErrUnsupported) {
			h.t.Error(err)
		}
		h.portal.Fault(bitrix24test.Fault{Method: "crm.item.batchimport", Kind: bitrix24test.BrokenBody, Times: -1})
		if _, err := bitrix24.Import(ctx, c, "deals", map[string]any{"title": "once"}); outcome(err) != enlace.OutcomeUnknown {
			h.t.Error(err)
		}
		if n := effects(h.portal, "crm.item.batchimport"); n != 2 {
			h.t.Errorf("sent %d times", n)
		}
		for body, whole := range map[string]bool{`{"result":{"items":[7]}}`: false, `{"result":{"items":[{}]}}`: false, `{"result":{"items":[]}}`: true, `{"result":[]}`: true} {
			h.answer(200, body)
			results, err := bitrix24.Import(ctx, h.conn(), "deals", map[string]any{})
			if !whole && err == nil {
				err = results[0].Err
			}
			if !errors.Is(err, enlace.ErrProtocol) {
				h.t.Error(body, err)
			}
		}
	})
}
