package bitrix24_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/google/go-cmp/cmp"
)

// withPhones puts a contact with two phone numbers and an address.
func (h *host) withPhones() bitrix24.Multifields {
	h.t.Helper()
	h.portal.Put(bitrix24test.Contact, map[string]any{"name": "Ana", "fm": []bitrix24test.Multifield{
		{TypeID: "PHONE", ValueType: "MOBILE", Value: "+55 1"}, {TypeID: "PHONE", ValueType: "WORK", Value: "+55 2"}, {TypeID: "EMAIL", ValueType: "WORK", Value: "ana@example.org"}}})
	return h.multifields()
}

func (h *host) multifields() bitrix24.Multifields {
	h.t.Helper()
	c, err := bitrix24.Get[bitrix24.Contact](h.t.Context(), h.conn(), 1)
	if err != nil {
		h.t.Fatal(err)
	}
	return c.Multifields
}

// TestEditMultifields changes one, deletes one and adds one (T09, T10).
func TestEditMultifields(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		before := h.withPhones()
		ctx, c := h.t.Context(), h.conn()
		after, err := bitrix24.EditMultifields(ctx, c, "contacts", "1", func(m bitrix24.Multifields) bitrix24.Multifields {
			m[0].Value = "+55 9"
			return append(bitrix24.Multifields{m[0], m[2]}, bitrix24.Multifield{TypeID: bitrix24.Phone, ValueType: "HOME", Value: "+55 3"},
				bitrix24.Multifield{TypeID: bitrix24.Messenger, ValueType: "TELEGRAM", Value: "ana"})
		})
		if err != nil {
			h.t.Fatal(err)
		}
		want := bitrix24.Multifields{
			{ID: before[0].ID, TypeID: "PHONE", ValueType: "MOBILE", Value: "+55 9"}, before[2],
			{ID: before[2].ID + 1, TypeID: "PHONE", ValueType: "HOME", Value: "+55 3"}, {ID: before[2].ID + 2, TypeID: "IM", ValueType: "TELEGRAM", Value: "ana"}}
		if diff := cmp.Diff(want, after); diff != "" {
			h.t.Error(diff)
		}
		if diff := cmp.Diff(after, h.multifields()); diff != "" {
			h.t.Error("what was returned is not what is there:", diff)
		}
		// What stays the same is not written; what is there is not added again.
		h.portal.ResetStats()
		same, err := bitrix24.EditMultifields(ctx, c, "contacts", "1", func(m bitrix24.Multifields) bitrix24.Multifields {
			m[0].ID, m[0].Value = 0, "+559"
			return m
		})
		if err != nil || !cmp.Equal(same, after) || h.portal.Stats().Requests != 1 {
			h.t.Errorf("%v, %v, %d requests", same, err, h.portal.Stats().Requests)
		}
		if none, err := bitrix24.EditMultifields(ctx, c, "contacts", "1", func(bitrix24.Multifields) bitrix24.Multifields { return nil }); err != nil || len(none) != 0 || len(h.multifields()) != 0 {
			h.t.Error(none, err)
		}
	})
}

func TestEditMultifieldsRefuses(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		h.withPhones()
		ctx, c := h.t.Context(), h.conn()
		edit := func(entity, id string, edit func(m bitrix24.Multifields) bitrix24.Multifields) error {
			_, err := bitrix24.EditMultifields(ctx, c, entity, id, edit)
			h.note(err)
			return err
		}
		add := func(f bitrix24.Multifield) func(bitrix24.Multifields) bitrix24.Multifields {
			return func(m bitrix24.Multifields) bitrix24.Multifields { return append(m, f) }
		}
		nothing := func(m bitrix24.Multifields) bitrix24.Multifields { return m }
		for name, test := range map[string]struct{ got, want error }{
			"deals have none":     {edit("deals", "1", nothing), enlace.ErrUnsupported},
			"no entity":           {edit("notes", "1", nothing), enlace.ErrUnsupported},
			"no id":               {edit("contacts", "x", nothing), enlace.ErrInvalid},
			"no record":           {edit("contacts", "99", nothing), enlace.ErrNotFound},
			"an id of another":    {edit("contacts", "1", add(bitrix24.Multifield{ID: 999, TypeID: "PHONE", Value: "1"})), enlace.ErrInvalid},
			"an id of its own":    {edit("contacts", "1", add(bitrix24.Multifield{ID: 1, TypeID: "EMAIL", Value: "1"})), enlace.ErrInvalid},
			"no type":             {edit("contacts", "1", add(bitrix24.Multifield{Value: "1"})), enlace.ErrInvalid},
			"no value":            {edit("contacts", "1", add(bitrix24.Multifield{TypeID: "PHONE"})), enlace.ErrInvalid},
			"an invalid address":  {edit("contacts", "1", add(bitrix24.Multifield{TypeID: "EMAIL", Value: "not-an-email"})), enlace.ErrInvalid},
			"a number of letters": {edit("contacts", "1", add(bitrix24.Multifield{TypeID: "PHONE", Value: "call me"})), nil},
		} {
			if !errors.Is(test.got, test.want) {
				h.t.Errorf("%s: %v", name, test.got)
			}
		}
		h.answer(200, `{"result":{"item":{"id":1,"fm":"x"}}}`)
		c = h.conn()
		if err := edit("contacts", "1", nothing); !errors.Is(err, enlace.ErrProtocol) {
			h.t.Error(err)
		}
	})
}

// TestMultifieldsOfAPush are merged with those that are there (sheet 5.5).
func TestMultifieldsOfAPush(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		before := h.withPhones()
		update := func(fm any) {
			h.t.Helper()
			h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, ID: "1", Data: map[string]any{"fm": fm}})
		}
		update(before) // as it was read
		update([]any{map[string]any{"typeId": "PHONE", "value": "+551"}})
		update([]any{})
		if diff := cmp.Diff(before, h.multifields()); diff != "" {
			h.t.Error("it changed:", diff)
		}
		id := before[1].ID
		update(map[string]any{"n0": map[string]any{"typeId": "WEB", "valueType": "WORK", "value": "example.org"},
			strconv.Itoa(int(before[0].ID)): map[string]any{"typeId": "PHONE", "valueType": "HOME", "value": "+55 1"}})
		update([]any{map[string]any{"id": id, "typeId": "PHONE", "value": ""}})
		want := bitrix24.Multifields{{ID: before[0].ID, TypeID: "PHONE", ValueType: "HOME", Value: "+55 1"}, before[2], {ID: before[2].ID + 1, TypeID: "WEB", ValueType: "WORK", Value: "example.org"}}
		if diff := cmp.Diff(want, h.multifields()); diff != "" {
			h.t.Error(diff)
		}
		if _, err := h.push(enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, ID: "1", Data: map[string]any{"fm": []any{map[string]any{"id": 999, "typeId": "PHONE", "value": "x"}}}}); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error("an id that is not there would add:", err)
		}
		update(nil)
		if left := h.multifields(); len(left) != 0 {
			h.t.Error(left)
		}
		// In a create the ids of other records mean nothing.
		ack := h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "copy", "fm": before}})
		if list, _ := h.get("contacts", ack.ID)["fm"].([]any); len(list) != 3 {
			h.t.Error(list)
		}
	})
}
