package bitrix24_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func (h *host) fetch(entity string, ids ...string) ([]enlace.Record, error) {
	h.t.Helper()
	records, err := bitrix24.Adapter{}.Fetch(h.t.Context(), h.conn(), entity, ids)
	h.note(err)
	return records, err
}

func TestFetch(t *testing.T) {
	in(t, bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 128, ID: 3}}}, nil, func(h *host) {
		h.portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 150})
		h.portal.Seed(128, bitrix24test.Seed{Count: 2})
		pulled, _, err := h.pull(enlace.PullRequest{}, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		data := map[string]string{}
		for _, r := range pulled {
			data[r.ID] = string(r.Data)
		}
		h.portal.Delete(bitrix24test.Contact, 7, 70)
		h.portal.ResetStats()
		ids := make([]string, 100)
		for i := range ids {
			ids[i] = strconv.Itoa(i + 1)
		}
		records, err := h.fetch("contacts", ids...)
		if err != nil || len(records) != 100 {
			h.t.Fatal(len(records), err)
		}
		for _, r := range records {
			gone := r.ID == "7" || r.ID == "70"
			if r.Deleted != gone || r.Entity != "contacts" || (!gone && (string(r.Data) != data[r.ID] || r.Modified.IsZero())) || (gone && r.Data != nil) {
				h.t.Errorf("%s is not as Pull gives it: %+v", r.ID, r)
			}
		}
		if n := h.portal.Stats().Requests; n != 2 {
			h.t.Errorf("%d requests for 100 contacts", n)
		}
		if records, err := h.fetch("dynamic_128", "1", "2", "3"); err != nil || len(records) != 3 {
			h.t.Error(records, err)
		}
		if records, err := h.fetch("contacts"); err != nil || len(records) != 0 {
			h.t.Error(records, err)
		}
	})
}

// TestWhatIsMissingIsNotGone: only the portal's NOT_FOUND is proof (sheet 5.7).
func TestWhatIsMissingIsNotGone(t *testing.T) {
	in(t, bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 128, ID: 3}}}, nil, func(h *host) {
		h.portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 9})
		deny := func(times int) {
			h.portal.Fault(bitrix24test.Fault{Method: "crm.item.get", Kind: bitrix24test.Refuse, Status: 400, Code: "ACCESS_DENIED", Times: times})
		}
		deny(1)
		if records, err := h.fetch("contacts", "1"); !errors.Is(err, enlace.ErrForbidden) || records != nil {
			h.t.Error(records, err)
		}
		deny(2)
		records, err := h.fetch("contacts", "1", "2", "3", "44")
		if err != nil || len(records) != 2 || records[0].ID != "3" || records[0].Deleted || !records[1].Deleted {
			h.t.Error(records, err)
		}
		h.portal.Fault(bitrix24test.Fault{Method: "crm.item.get", Kind: bitrix24test.Refuse, Status: 400, Code: "ENTITY_TYPE_NOT_SUPPORTED"})
		if _, err := h.fetch("contacts", "1", "2"); !errors.Is(err, enlace.ErrUnsupported) {
			h.t.Error(err)
		}
		for _, entity := range []string{"dynamic_999"} {
			if records, err := h.fetch(entity, "1", "2"); !errors.Is(err, enlace.ErrNotFound) || records != nil {
				h.t.Errorf("a kind that the portal does not have: %v, %v", records, err)
			}
		}
		if records, err := h.fetch("dynamic_128", "1"); err != nil || !records[0].Deleted {
			h.t.Error(records, err)
		}
		for _, id := range []string{"", "0", "-1", "x", "1e3", "01", "+1", " 1", "99999999999999999999"} {
			if _, err := h.fetch("contacts", id); !errors.Is(err, enlace.ErrInvalid) {
				h.t.Errorf("%q: %v", id, err)
			}
		}
		if _, err := h.fetch("activities", "1"); !errors.Is(err, enlace.ErrUnsupported) {
			h.t.Error(err)
		}
		// A proxy's 404, and answers without an item, are no proof of anything.
		for body, kind := range map[string]error{`<html>`: enlace.ErrNotFound, `{"error":"","error_description":"Not found"}`: enlace.ErrNotFound} {
			h.answer(404, body)
			if records, err := h.fetch("contacts", "1"); !errors.Is(err, kind) || records != nil {
				h.t.Errorf("%s: %v, %v", body, records, err)
			}
		}
		for _, body := range []string{`{"result":{"item":[]}}`, `{"result":{}}`, `{"result":[]}`, `{"result":{"item":{"id":null}}}`, `{"result":null}`} {
			h.answer(200, body)
			if records, err := h.fetch("contacts", "1"); !errors.Is(err, enlace.ErrProtocol) || records != nil {
				h.t.Errorf("%s: %v, %v", body, records, err)
			}
		}
	})
}
